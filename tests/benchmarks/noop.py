"""noop: jobs that do nothing, from submit to the last result known, beside every peer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from time import perf_counter

from tests.benchmarks.bench import Bench, excused
from tests.benchmarks.findings import Bar, Chart, Finding, Goal, Spread, Table
from tests.benchmarks.parts.ours import NOOP, PRINTING, Jobspool, jobspool
from tests.benchmarks.peers.roster import BY_HAND, PEERS, Peer, on_power_loss
from tests.benchmarks.peers.running import running

OURS = "**jobspool over HTTP**"
UNTIL_COMPLETED = "**jobspool over HTTP**, until `completed`"
WITH_A_LINE = "**jobspool over HTTP**, each job prints a line"
OF_TWO = "**jobspool over HTTP**, 2 workers"
OF_TWO_UNTIL_COMPLETED = "**jobspool over HTTP**, 2 workers, until `completed`"
"""As many processes as the peers have."""

UNTIL = {OURS: UNTIL_COMPLETED, OF_TWO: OF_TWO_UNTIL_COMPLETED}

DURABLE = ("run again within a second", "kept: synced before the 202")
WANTED_RATE = 15_000
WANTED_RATIO = 9
GOAL_SIZE = 20_000

Rates = dict[str, dict[int, list[float]]]


def measure(bench: Bench) -> Finding:
    finding = Finding()
    rates: Rates = defaultdict(lambda: defaultdict(list))
    peers = {peer.title: peer for peer in PEERS}
    for n, name in bench.in_turn([OURS, OF_TWO, WITH_A_LINE, *peers]):
        if name in finding.absent:
            continue
        with excused(finding.absent, name):
            if name in peers:
                _measure_peer(bench, peers[name], rates)
            else:
                _measure_ours(bench, name, rates)
            bench.say(f"round {n}: {name}: {_latest(rates[name])}")
    finding.tables.append(_table(bench, rates, peers))
    finding.charts.append(_chart(bench, rates))
    finding.goals += _goals(rates, peers)
    return finding


def _measure_ours(bench: Bench, name: str, rates: Rates) -> None:
    with jobspool(bench, workers=2 if name == OF_TWO else 1) as service:
        for size in bench.sizes:
            job = PRINTING if name == WITH_A_LINE else NOOP
            until_completed, in_all = timed(service, job, size)
            rates[name][size].append(size / in_all)
            if name in UNTIL:
                rates[UNTIL[name]][size].append(size / until_completed)


def timed(service: Jobspool, job: object, size: int) -> tuple[float, float]:
    """Seconds from before the POST until the batch has completed, and until all results are
    read."""
    begun = perf_counter()
    path = service.submit([job] * size)
    service.completed(path)
    until_completed = perf_counter() - begun
    assert len(service.results(path)) == size
    return until_completed, perf_counter() - begun


def _measure_peer(bench: Bench, peer: Peer, rates: Rates) -> None:
    with running(bench, peer) as ready:
        for size in _sizes(bench, peer):
            seconds = ready.run(size).seconds
            rates[peer.title][size].append(size / seconds)


def _sizes(bench: Bench, peer: Peer) -> list[int]:
    """Those that do not take it minutes; a smaller one instead of the first that would."""
    return sorted({min(size, int(peer.most * bench.share)) for size in bench.sizes})


def _latest(of: dict[int, list[float]]) -> str:
    return ", ".join(f"{found[-1]:,.0f} jobs/s of {size:,}" for size, found in of.items())


def _table(bench: Bench, rates: Rates, peers: dict[str, Peer]) -> Table:
    rows = []
    ours = [OURS, UNTIL_COMPLETED, OF_TWO, OF_TWO_UNTIL_COMPLETED, WITH_A_LINE]
    for name in [*ours, *peers]:
        if not rates.get(name):
            continue
        promises = DURABLE
        if name in peers:
            promise = peers[name].promise
            promises = (promise.killed, on_power_loss(peers[name], bench.redis_fsync))
        rows.append([name, *_cells(bench, rates[name]), *promises])
    sizes = [f"jobs/s of {size:,}" for size in bench.sizes]
    return Table(
        "No-op jobs, from submit to every result known",
        ["", *sizes, "kill -9 of a worker: its jobs", "power loss: what was submitted"],
        rows,
        [
            f"Rounds: {bench.rounds}; their median (and range). Workers are warm; results are kept."
            " A peer that would take minutes gets fewer jobs, as said."
        ],
    )


def _cells(bench: Bench, of: dict[int, list[float]]) -> Iterator[str]:
    """One for each size; that of a smaller one says so."""
    left = sorted(of)
    for size in bench.sizes:
        if left and left[0] <= size:
            took = left.pop(0)
            smaller = f" of {took:,}" if took < size else ""
            yield Spread.of(of[took]).shown() + smaller
        else:
            yield ""


def _chart(bench: Bench, rates: Rates) -> Chart:
    bars = []
    for name, of in rates.items():
        size = _of_goal(of)
        label = name.replace("**", "").replace("`", "")
        bars.append(Bar(label, Spread.of(of[size]), name.startswith("**")))
    return Chart("No-op jobs, submit to every result known", "jobs/s", bars)


def _of_goal(of: dict[int, list[float]]) -> int:
    """The size that the goals speak of, or the nearest that was measured."""
    return min(of, key=lambda size: abs(size - GOAL_SIZE))


def _median(rates: Rates, name: str) -> float:
    return Spread.of(rates[name][_of_goal(rates[name])]).median


def _goals(rates: Rates, peers: dict[str, Peer]) -> Iterator[Goal]:
    if OURS not in rates:
        return
    size = _of_goal(rates[OURS])
    completed, read = _median(rates, UNTIL_COMPLETED), _median(rates, OURS)
    yield Goal(
        f"≥ {WANTED_RATE:,} durable no-op jobs/s over HTTP, POST to completed",
        f"{completed:,.0f} jobs/s of {size:,} ({read:,.0f} with every result read)",
        completed >= WANTED_RATE,
    )
    best = {
        name: max(Spread.of(found).median for found in rates[name].values())
        for name, peer in peers.items()
        if peer.is_queue and name in rates
    }
    if best:
        name = max(best, key=lambda peer: best[peer])
        found = f"{read / best[name]:.1f} times {name} ({best[name]:,.0f} jobs/s)"
        for other in (UNTIL_COMPLETED, OF_TWO, OF_TWO_UNTIL_COMPLETED, BY_HAND):
            if other in rates:
                found += f"; {other}: {_median(rates, other) / best[name]:.1f} times"
        if OF_TWO in rates:
            read = _median(rates, OF_TWO)  # as many processes as the peers have
        yield Goal(
            f"≥ {WANTED_RATIO} times the best queue, every result read",
            found,
            read >= WANTED_RATIO * best[name],
        )
