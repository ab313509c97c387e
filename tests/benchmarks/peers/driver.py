"""A peer's client, in a process of its own in the peers' environment.

``python -m tests.benchmarks.peers.driver MODULE``: for each line on stdin, a number of jobs, it
runs so many and answers one line of JSON: the seconds from submit to all results known, and the
nanoseconds from submit to the start of the first job (null where nothing tells).
"""

from __future__ import annotations

import importlib
import json
import sys
from time import monotonic_ns, perf_counter


def main(name: str) -> None:
    peer = importlib.import_module(f"tests.benchmarks.peers.{name}")
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        count = int(line)
        begun_ns, begun = monotonic_ns(), perf_counter()
        results = peer.run(count)
        seconds = perf_counter() - begun
        assert not results or len(results) == count, (len(results), count)
        start_ns = min(results) - begun_ns if results else None
        print(json.dumps({"seconds": seconds, "start_ns": start_ns}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
