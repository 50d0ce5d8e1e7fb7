"""What a part of the rows would look like, had it moved as the other rows did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from mlops_dagster.metrics.drift import Floats
from mlops_dagster.profiles.columns import (
    CategoryProfile,
    ColumnProfile,
    NumericProfile,
    TableProfile,
    merge,
    subtract,
)

_ADDED = 0.5
_GRID = (np.arange(1_000) + 0.5) / 1_000


@dataclass(frozen=True, slots=True)
class Beside:
    """A part of some rows, and all the others of them."""

    own: TableProfile
    others: TableProfile


def parts_beside(parts: Mapping[str, TableProfile]) -> dict[str, Beside]:
    """Put each part beside all others; all are counted in the same bins."""
    plain = {name: replace(one, windows=()) for name, one in parts.items()}
    whole = reduce(merge, plain.values()) if plain else None
    return {name: Beside(one, subtract(whole, one)) for name, one in plain.items() if whole}


def windows_beside(parts: Mapping[str, TableProfile]) -> dict[str, list[Beside]]:
    """The same window by window, where all parts have the same windows."""
    count = min((len(one.windows) for one in parts.values()), default=0)
    found: dict[str, list[Beside]] = {name: [] for name in parts}
    for at in range(count):
        cut = parts_beside({name: one.windows[at] for name, one in parts.items()})
        for name, one in cut.items():
            found[name].append(one)
    return found


def moved_alike(part: TableProfile, before: TableProfile, now: TableProfile) -> TableProfile:
    """Tell what a part would be, had it moved as others did from before to now.

    Each quantile of numbers moves by as many standard deviations as that of the others did; each label
    counts as much more or less as its share of the others grew or shrank.
    """
    columns = {
        name: _moved(one, before.columns[name], now.columns[name])
        for name, one in part.columns.items()
    }
    return TableProfile(rows=part.rows, columns=columns)


def _moved(part: ColumnProfile, before: ColumnProfile, now: ColumnProfile) -> ColumnProfile:
    if not (part.rows and before.rows and now.rows):
        return part
    if isinstance(part, CategoryProfile):
        labels = list(part.counts)
        cells = (_labelled(one, labels) for one in (part, before, now))
        moved = _weighted(*cells)
        return replace(part, counts=dict(zip(labels, moved, strict=False)), other=moved[-1])
    if not (isinstance(before, NumericProfile) and isinstance(now, NumericProfile)):
        return part
    if part.steps or not before.core_sd:
        return replace(part, counts=_weighted(part.counts, before.counts, now.counts))
    return replace(part, counts=_shifted(part, before, now))


def _labelled(one: ColumnProfile, labels: Sequence[str]) -> list[int]:
    counts = one.counts if isinstance(one, CategoryProfile) else {}
    named = [counts.get(label, 0) for label in labels]
    return [*named, one.rows - sum(named)]


def _weighted(part: Sequence[int], before: Sequence[int], now: Sequence[int]) -> tuple[int, ...]:
    own, then, later = (np.asarray(one, dtype=np.float64) for one in (part, before, now))
    then, later = ((one + _ADDED) / (one + _ADDED).sum() for one in (then, later))
    return _whole_rows(own * later / then, rows=int(own.sum()))


def _shifted(part: NumericProfile, before: NumericProfile, now: NumericProfile) -> tuple[int, ...]:
    own, then, later = (_quantiles(one) for one in (part, before, now))
    expected = own + (later - then) * part.core_sd / before.core_sd
    places = np.searchsorted(part.edges, expected, side="left")
    cells = np.bincount(places, minlength=len(part.counts)).astype(np.float64)
    return _whole_rows(cells, rows=part.rows)


def _quantiles(one: NumericProfile) -> Floats:
    """Read evenly spaced quantiles off the counts; beyond the edges lies at most a deviation."""
    low = one.edges[0] if one.minimum is None else one.minimum
    high = one.edges[-1] if one.maximum is None else one.maximum
    reach = one.core_sd
    first = min(max(low, one.edges[0] - reach), one.edges[0])
    last = max(min(high, one.edges[-1] + reach), one.edges[-1])
    ends = np.cumsum([0, *one.counts]) / one.rows
    return np.asarray(np.interp(_GRID, ends, (first, *one.edges, last)))


def _whole_rows(cells: Floats, *, rows: int) -> tuple[int, ...]:
    """Scale cells to so many rows; no share up to a cell is off by more than half a row."""
    ends = np.round(np.cumsum(cells) * rows / cells.sum())
    return tuple(int(one) for one in np.diff(ends, prepend=0.0))
