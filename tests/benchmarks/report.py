"""What was found, as Markdown for people and as JSON for the plot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.findings import Finding, Goal, Table


def write(folder: Path, machine: Sequence[str], findings: Mapping[str, Finding]) -> Path:
    """Write all anew; after each topic, so that a run that is cut has told what it knows."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "bench.md"
    report.write_text("\n".join(_lines(machine, findings)) + "\n")
    charts = [asdict(chart) for finding in findings.values() for chart in finding.charts]
    (folder / "charts.json").write_text(json.dumps(charts, indent=1))
    return report


def _lines(machine: Sequence[str], findings: Mapping[str, Finding]) -> Iterator[str]:
    yield from ("# jobspool, measured", "", *machine, "")
    goals = [goal for finding in findings.values() for goal in finding.goals]
    if goals:
        yield from _table(goal_table(goals))
    for finding in findings.values():
        for table in finding.tables:
            yield from _table(table)
        yield from _absent(finding)


def markdown(finding: Finding) -> str:
    """One topic's part."""
    tables = [*finding.tables, *([goal_table(finding.goals)] if finding.goals else [])]
    lines = [line for table in tables for line in _table(table)]
    return "\n".join([*lines, *_absent(finding)])


def goal_table(goals: Sequence[Goal]) -> Table:
    rows = [[goal.wanted, goal.found, "met" if goal.met else "**not met**"] for goal in goals]
    return Table("Goals", ["wanted", "found", ""], rows)


def _table(table: Table) -> Iterator[str]:
    yield from (f"## {table.title}", "")
    for note in table.notes:
        yield from (note, "")
    yield _row(table.columns)
    yield _row("---:" if _is_number(table, n) else "---" for n in range(len(table.columns)))
    yield from map(_row, table.rows)
    yield ""


def _is_number(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if row[column]]
    return column > 0 and bool(cells) and all(cell[0].isdigit() for cell in cells)


def _row(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _absent(finding: Finding) -> Iterator[str]:
    for name, reason in finding.absent.items():
        yield f"- not measured: {name}: {reason}"
    if finding.absent:
        yield ""
