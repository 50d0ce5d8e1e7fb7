"""The worst columns of the newest window beside the reference. Pure: profiles in, shapes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlops_dagster.monitor.drift import ColumnVerdict
from mlops_dagster.monitor.limits import NULLS
from mlops_dagster.monitor.page.facts import Current
from mlops_dagster.monitor.page.heat import times
from mlops_dagster.monitor.picture import visible
from mlops_dagster.profiles.columns import CategoryProfile, ColumnProfile, NumericProfile
from mlops_dagster.records import Outcome

MOST_PANELS = 6
MOST_LABELS = 8
FEW_VALUES = 12
BINS = 30
_BEYOND = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The share of rows with one label, before and now, 0 to 1."""

    label: str
    before: float
    now: float

    @property
    def new(self) -> bool:
        """Tell whether the reference had no such row."""
        return self.before == 0 and self.now > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """Two histograms over one range, as SVG paths in a box of 1000 by 100."""

    before: str
    now: str
    low: str
    high: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One column: what was found, and either outlines of numbers or shares of labels."""

    name: str
    kind: str
    mark: str
    said: str
    told: str
    outlines: Outlines | None = None
    labels: Sequence[Pair] = ()
    more: int = 0

    @property
    def widest(self) -> float:
        """The largest share that is drawn."""
        return max((max(one.before, one.now) for one in self.labels), default=1.0) or 1.0


def panels(current: Current) -> list[Panel]:
    """Draw the columns nearest to their limits or beyond, the worst first."""
    look = current.look
    judged = [one for one in (*look.features, *look.predictions) if one.value is not None]
    worst = sorted(judged, key=lambda one: -one.excess)[:MOST_PANELS]
    return [_panel(verdict, *_profiles(current, verdict)) for verdict in worst]


def _profiles(current: Current, verdict: ColumnVerdict) -> tuple[ColumnProfile, ColumnProfile]:
    name = verdict.column.removesuffix(NULLS) if verdict.of_nulls else verdict.column
    before, now = current.reference.features, current.evidence.features
    if verdict in current.look.predictions:
        before, now = current.reference.predictions, current.evidence.predictions
    return before.columns[name], now.columns[name]


def _panel(verdict: ColumnVerdict, before: ColumnProfile, now: ColumnProfile) -> Panel:
    alarm = verdict.outcome is Outcome.REFUSED
    severity = f", {verdict.severity} drift" if verdict.severity else ""
    pairs = _pairs(before, now, of_nulls=verdict.of_nulls)
    ranked = pairs
    if isinstance(before, CategoryProfile):  # numbers stay in their own order
        ranked = sorted(pairs, key=lambda one: -max(one.before, one.now))
    most = MOST_LABELS if isinstance(before, CategoryProfile) else FEW_VALUES
    outlines = None
    if not pairs and isinstance(before, NumericProfile) and isinstance(now, NumericProfile):
        outlines = _outlines(before, now)
    return Panel(
        name=verdict.column,
        kind="refused" if alarm else "passed",
        mark="!" if alarm else "✓",
        said=f"{times(verdict.excess)} times the limit{severity}",
        told=verdict.told.removeprefix(f"{verdict.column}: "),
        outlines=outlines,
        labels=ranked[:most],
        more=len(ranked[most:]),
    )


# --- LABELS ---


def _pairs(before: ColumnProfile, now: ColumnProfile, *, of_nulls: bool) -> list[Pair]:
    """Compare shares label by label; none of numbers with many values."""
    if of_nulls:
        shares = [one.nulls / max(one.rows + one.nulls, 1) for one in (before, now)]
        return [Pair(label="no value", before=shares[0], now=shares[1])]
    sides = _counted(before), _counted(now)
    if sides[0] is None or sides[1] is None:
        return []
    labels = {**sides[0], **sides[1]}
    return [
        Pair(
            label=label,
            before=sides[0].get(label, 0) / max(before.rows, 1),
            now=sides[1].get(label, 0) / max(now.rows, 1),
        )
        for label in labels
    ]


def _counted(profile: ColumnProfile) -> Mapping[str, int] | None:
    """Count rows by label, of numbers with few values by value."""
    if isinstance(profile, CategoryProfile):
        return {**profile.counts, **({"(other)": profile.other} if profile.other else {})}
    if not profile.steps or not 1 < len(profile.edges) <= FEW_VALUES:
        return None
    # The first edge stands just below the smallest value, so that what is smaller is seen.
    values = [f"{edge:g}" for edge in profile.edges[1:]]
    names = [f"below {values[0]}", *values, f"over {values[-1]}"]
    return {name: count for name, count in zip(names, profile.counts, strict=True) if count}


# --- NUMBERS ---


def _outlines(before: NumericProfile, now: NumericProfile) -> Outlines:
    low, high = visible(before)
    low, high = max(low, before.edges[0]), min(high, before.edges[-1])
    grid = np.linspace(low, high, BINS + 1)
    shares = [np.diff(_below(profile, grid)) for profile in (before, now)]
    tallest = max(float(np.max(each)) for each in shares) or 1.0
    return Outlines(
        before=_path(shares[0] / tallest),
        now=_path(shares[1] / tallest),
        low=_number(low),
        high=_number(high),
        note=f"mean {before.mean:.4g} → {now.mean:.4g}{_beyond(now, shares[1])}",
    )


def _number(value: float) -> str:
    """Write a number without the hair's breadth that an edge stands below the smallest value."""
    return f"{round(value, 6) + 0.0:.4g}"


def _below(profile: NumericProfile, grid: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Tell the share of rows at or below each place."""
    edges = np.asarray(profile.edges)
    below = np.cumsum(profile.counts)[:-1] / max(profile.rows, 1)
    if profile.steps:
        return np.concatenate([[0.0], below])[np.searchsorted(edges, grid, side="right")]
    return np.interp(grid, edges, below, left=0.0, right=float(below[-1]))


def _beyond(now: NumericProfile, drawn: npt.NDArray[np.float64]) -> str:
    """Say how many rows of now are out of the picture, if it is more than a few."""
    out = 1 - float(drawn.sum())
    if not now.rows or out < _BEYOND:
        return ""
    ends = [one for one in (now.minimum, now.maximum) if one is not None]
    reach = f" ({ends[0]:.4g} to {ends[1]:.4g})" if len(ends) == 2 else ""
    return f"; {out:.0%} of its rows lie outside of the picture{reach}"


def _path(heights: npt.NDArray[np.float64]) -> str:
    """Draw steps from the left to the right; the top of the box is 1."""
    width = 1_000 / len(heights)
    steps = "".join(
        f"V{100 - 96 * float(height):.1f}H{(place + 1) * width:.0f}"
        for place, height in enumerate(heights)
    )
    return f"M0 100{steps}V100"
