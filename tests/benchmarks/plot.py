"""The charts of a run as one picture. Runs where matplotlib is: in the peers' environment.

``python -m tests.benchmarks.plot charts.json bench.svg``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

pyplot.rcParams["svg.fonttype"] = "none"  # text stays text: half of the bytes

OURS, PEER = "#2563eb", "#9ca3af"
INCHES_A_BAR = 0.36
LINE = 44
"""Characters of a label, before it is broken."""


def draw(charts: list[dict[str, Any]], picture: Path) -> None:
    """A panel a chart: the medians as bars, the range of the rounds as a line."""
    heights = [1.2 + INCHES_A_BAR * len(chart["bars"]) for chart in charts]
    figure, panels = pyplot.subplots(
        len(charts), figsize=(9, sum(heights)), height_ratios=heights, squeeze=False
    )
    for panel, chart in zip(panels[:, 0], charts, strict=True):
        bars = list(reversed(chart["bars"]))
        rounds = [bar["spread"]["values"] for bar in bars]
        middles = [median(values) for values in rounds]
        low = [middle - min(values) for middle, values in zip(middles, rounds, strict=True)]
        high = [max(values) - middle for middle, values in zip(middles, rounds, strict=True)]
        drawn = panel.barh(
            [fill(bar["label"], LINE) for bar in bars],
            middles,
            xerr=[low, high],
            color=[OURS if bar["ours"] else PEER for bar in bars],
            ecolor="#111827",
        )
        panel.bar_label(drawn, labels=[_number(middle) for middle in middles], fontsize=8)
        title = f"{chart['title']} ({chart['unit']})"
        panel.set_title(title, loc="right", fontsize=10)
        panel.tick_params(labelsize=8)
        panel.margins(x=0.15)
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(picture)


def _number(value: float) -> str:
    return f" {value:,.0f}" if value >= 100 else f" {value:.3g}"


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
