"""Runs the service in the image as an operator would, and checks what the image promises.

Started in a network namespace of its own, so the image runs as it is: on 0.0.0.0, port 8000.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.image import client
from tests.image.container import DRAIN_S, Container
from tests.image.network import loopback_up
from tests.image.proof import prove, proved

WHEELS = """
import ssl, sys
import certifi, lxml.etree, pycurl, pydantic_core, selectolax.lexbor, sqlalchemy
assert ssl.create_default_context(cafile=certifi.where()).cert_store_stats()["x509_ca"] > 50
assert "https" in pycurl.version_info()[8]
print("Python", sys.version.split()[0] + ",", *pycurl.version.split()[:2])
"""
NUMBERS = {
    "name": "image-test",
    "jobs": [
        {"type": "numbers", "params": {"name": "A", "start": 1, "count": 3, "delay_s": 0.01}},
        {"type": "letters", "params": {"letters": "XYZ", "delay_s": 0.01}},
    ],
}
LINES = [["A: 1", "A: 2", "A: 3"], ["X", "Y", "Z"]]
LONG = {"jobs": [{"type": "numbers", "params": {"count": 2, "delay_s": 600}}]}


def main(image: str, isolation: str) -> None:
    loopback_up()
    with tempfile.TemporaryDirectory() as volume:
        container = Container(image, isolation, Path(volume))
        try:
            check_image(container)
            finished, interrupted = check_first_run(container)
            check_second_run(container, finished, interrupted)
        except BaseException:
            print(container.log(), file=sys.stderr)
            raise
        finally:
            container.remove()


def check_image(container: Container) -> None:
    config = container.config
    prove(config["Cmd"] == ["jobspool", "serve"], "the command is jobspool serve, in exec form")
    prove(config["StopSignal"] == "SIGTERM", "it is stopped with SIGTERM")
    prove("8000/tcp" in config["ExposedPorts"], "it says that it listens on port 8000")
    prove(list(config["Volumes"]) == ["/data"], "its data is on a volume, /data")
    prove(container.uid > 0, f"its user is not root but {config['User']}")

    wheels = container.run("python3", "-c", WHEELS)
    prove(wheels.returncode == 0, f"all wheels load: {wheels.stdout.strip()}, TLS", wheels.stderr)
    pip = container.run("python3", "-m", "pip", "--version")
    prove(pip.returncode != 0, "no pip in it", pip.stdout)
    write = container.run("touch", "/opt/jobspool/bin/jobspool")
    prove(write.returncode != 0, "the service can't change its own code")
    idle = container.health_check()
    prove(idle.returncode == 1, "the health check fails while nothing runs", idle)


def check_first_run(container: Container) -> tuple[dict[str, Any], dict[str, Any]]:
    seconds = container.start()
    proved(f"ready {seconds:.1f} s after the start, on an empty volume")
    owners = container.owners()
    only_its_own = owners == {container.uid}
    prove(only_its_own, f"master and worker run as {container.uid}", owners)
    healthy = container.health_check()
    prove(healthy.returncode == 0, f"the health check succeeds: {healthy.stdout.strip()}", healthy)

    status, batch = client.post("/v1/batches?wait=20", NUMBERS)
    prove(
        (status, batch["status"], batch["outcome"]) == (200, "completed", "succeeded"),
        "POST /v1/batches?wait=20 answers 200, completed, succeeded",
        (status, batch),
    )
    prove(lines_of(batch) == LINES, f"its results are {json.dumps(LINES)}", lines_of(batch))

    status, long = client.post("/v1/batches", LONG)
    prove(status == 202, "a batch that takes 20 minutes is accepted", (status, long))
    client.until(lambda: client.get(long["links"]["self"])["status"] == "running")
    check_stop(container, "with that batch running")
    dead = container.health_check()
    prove(dead.returncode == 1, "the health check fails again", dead)
    return batch, long


def check_second_run(
    container: Container, finished: dict[str, Any], interrupted: dict[str, Any]
) -> None:
    seconds = container.start()
    proved(f"started again on the same volume, ready after {seconds:.1f} s")
    again = client.get(finished["links"]["self"])
    prove(again == finished, "the finished batch is still there, unchanged", again)
    prove(lines_of(finished) == LINES, "and its results too", lines_of(finished))

    path = interrupted["links"]["self"]
    client.until(lambda: client.get(path)["status"] == "running")
    proved("the interrupted batch goes on by itself")
    client.post(f"{path}/cancel", {})
    client.until(lambda: client.get(path)["status"] == "cancelled")
    proved("and can be cancelled")
    check_stop(container, "idle")


def check_stop(container: Container, state: str) -> None:
    began = time.monotonic()
    code = container.stop()
    seconds = time.monotonic() - began
    prove(
        code == 0 and seconds <= DRAIN_S + 2,
        f"SIGTERM, {state}: left after {seconds:.1f} s, exit 0 (drain {DRAIN_S} s, limit +2 s)",
        (code, seconds),
    )


def lines_of(batch: dict[str, Any]) -> list[list[str]]:
    return [item["result"]["lines"] for item in client.get(batch["links"]["results"])["items"]]


if __name__ == "__main__":
    main(*sys.argv[1:])
