"""A small picture of the reference against now, one panel a column."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlops_dagster.monitor.drift import ColumnVerdict
from mlops_dagster.profiles.columns import CategoryProfile, ColumnProfile, NumericProfile

MOST_LABELS = 10
LABEL_LENGTH = 12
# In base64 it stays under 100 kB, which is what an event should hold.
LARGEST = 72_000
BEFORE, NOW = "#8a8a8a", "#c0392b"


def draw(
    panels: Sequence[tuple[ColumnVerdict, ColumnProfile, ColumnProfile]], *, title: str
) -> bytes:
    """Draw up to four columns as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(len(panels), 2)
    down = -(-len(panels) // 2)
    width, height = 4.6 * across, 2.9 * down + 0.4
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    # In inches, for texts of the sizes below: to let matplotlib find the places doubles the time.
    figure.subplots_adjust(
        left=0.6 / width,
        right=1 - 0.15 / width,
        bottom=0.65 / height,
        top=1 - 0.65 / height,
        wspace=0.75 / 3.75,
        hspace=1.0 / 1.85,
    )
    figure.suptitle(f"Reference against {title}", fontsize=10, y=1 - 0.2 / height)
    for place, (verdict, before, now) in enumerate(panels, start=1):
        axes = figure.add_subplot(down, across, place)
        _draw_one(axes, verdict, before=before, now=now)
    return _smallest_that_fits(figure)


def _smallest_that_fits(figure: Any) -> bytes:
    """Write a PNG, coarser and coarser until it is small enough for an event."""
    image = io.BytesIO()
    for dpi in (64, 48, 32):
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=dpi, metadata={"Software": None})
        if image.tell() <= LARGEST:
            break
    return image.getvalue()


def _draw_one(
    axes: Any, verdict: ColumnVerdict, *, before: ColumnProfile, now: ColumnProfile
) -> None:
    if isinstance(before, NumericProfile) and isinstance(now, NumericProfile):
        _draw_numbers(axes, before, now)
        axes.set_xlabel(verdict.column, fontsize=8)
    elif isinstance(before, CategoryProfile) and isinstance(now, CategoryProfile):
        _draw_labels(axes, before, now)
        axes.set_xlabel(f"{verdict.column} (most frequent labels)", fontsize=8)
    unit, name = (" sd", "W1") if verdict.measure == "w1_sd" else ("", "JS")
    told = f"{name} {verdict.value or 0:.3f}{unit}, limit {verdict.limit or 0:.3f}{unit}"
    axes.set_title(f"{verdict.column}: {told}, n={verdict.rows:,}", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_numbers(axes: Any, before: NumericProfile, now: NumericProfile) -> None:
    """Draw shares of rows at or below each value: no bin width to choose, every gap to see."""
    edges = np.asarray(before.edges)
    for profile, color, label in ((before, BEFORE, "reference"), (now, NOW, "now")):
        below = np.cumsum(profile.counts)[:-1] / max(profile.rows, 1)
        style = "steps-post" if before.steps else "default"
        axes.plot(edges, below, color=color, label=label, drawstyle=style, linewidth=1.6)
    low, high = visible(before)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("share of rows at or below", fontsize=8)


def visible(profile: NumericProfile) -> tuple[float, float]:
    """Leave out the outermost half percent, so that a long tail does not squeeze the rest."""
    below = np.cumsum(profile.counts)[:-1] / max(profile.rows, 1)
    edges = np.asarray(profile.edges)
    if profile.steps or len(edges) < 3:
        pad = (edges[-1] - edges[0]) * 0.05 or 1.0
        return float(edges[0] - pad), float(edges[-1] + pad)
    inner = edges[(below >= 0.005) & (below <= 0.995)]
    pad = (inner[-1] - inner[0]) * 0.15 if len(inner) > 1 else 1.0
    return float(inner[0] - pad), float(inner[-1] + pad)


def _draw_labels(axes: Any, before: CategoryProfile, now: CategoryProfile) -> None:
    share = {
        label: max(before.counts.get(label, 0) / max(before.rows, 1), n / max(now.rows, 1))
        for label, n in ({**dict.fromkeys(before.counts, 0), **now.counts}).items()
    }
    labels = sorted(share, key=lambda label: -share[label])[:MOST_LABELS]
    places = np.arange(len(labels))
    for profile, color, name, side in (
        (before, BEFORE, "reference", -0.2),
        (now, NOW, "now", 0.2),
    ):
        heights = [profile.counts.get(label, 0) / max(profile.rows, 1) for label in labels]
        axes.bar(places + side, heights, width=0.38, color=color, label=name)
    short = [
        label if len(label) <= LABEL_LENGTH else label[: LABEL_LENGTH - 1] + "…" for label in labels
    ]
    axes.set_xticks(places, short, rotation=30 if len(labels) > 5 else 0, ha="center")
    axes.margins(y=0.3)
    axes.set_ylabel("share of rows", fontsize=8)
