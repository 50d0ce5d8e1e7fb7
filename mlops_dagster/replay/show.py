"""What policies would have done, as a table and a picture."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np

from mlops_dagster.replay.backtest import Played

COLORS = ("#8a8a8a", "#1f6feb", "#2da44e", "#c0392b", "#8250df", "#bf8700")
_WIDTHS = (10, 7, 9, 9, 10, 9, 8, 12)
_NAMES = (
    "policy",
    "retrains",
    "live",
    "refused",
    "loss",
    "v. first",
    "CPU s",
    "alarms",
    "led nowhere",
)


def write_table(found: Sequence[Played]) -> str:
    """Lay the policies out; `v. first` is the loss against the first policy's."""
    widths = (max(12, *(len(one.name) + 2 for one in found)), *_WIDTHS)
    lines = ["".join(f"{name:>{width}}" for name, width in zip(_NAMES, widths, strict=True))]
    for one in found:
        listens = one.alarms or one.policy in {"drift", "performance", "all"}
        cells = (
            one.name,
            f"{one.live + one.refused - 1}",
            f"{one.live - 1}",
            f"{one.refused}",
            f"{one.loss:.4f}",
            f"{one.loss - found[0].loss:+.4f}",
            f"{one.cpu_s:.0f}",
            f"{one.alarms}" if listens else "-",
            f"{one.led_nowhere}" if listens else "-",
        )
        lines.append("".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    lines += [
        "",
        "retrains: after the first model; live: those that passed every gate; CPU s: all candidates of",
        "the policy, the first one too. alarms: windows that asked; led nowhere: no better model came of it.",
    ]
    return "\n".join(lines)


def draw(found: Sequence[Played], path: Path, *, title: str) -> None:
    """Draw the loss of each policy over time against the first one's, with its retrains."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1.6))
    for color, one in zip(cycle(COLORS), found, strict=False):
        ends = [step.window.end for step in one.steps]
        losses = np.array([step.loss for step in one.steps])
        above.plot(ends, losses, color=color, label=f"{one.name} ({one.loss:.4f})", lw=1.4)
        gained = np.cumsum(losses - np.array([step.loss for step in found[0].steps]))
        below.plot(ends, gained, color=color, lw=1.4)
        marks = [at for at, step in enumerate(one.steps) if step.decision.action == "retrain"]
        below.plot([ends[at] for at in marks], gained[marks], "o", color=color, ms=4)
    above.set_ylabel("loss of a window")
    above.legend(frameon=False, fontsize=8, ncols=2)
    above.set_title(title, fontsize=10)
    below.set_ylabel(f"summed, against {found[0].name}\n(dots: retrains; lower is better)")
    for axes in (above, below):
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110)
