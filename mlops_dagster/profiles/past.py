"""How a model's answers to all labelled rows differ from window to window, whole and by slice.

A holdout tells where losses and answers are, but has few windows; how these differ, all rows tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import Task
from mlops_dagster.metrics.losses import LossSketch, row_losses, sketch
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.profiles.columns import TableProfile, subtract
from mlops_dagster.profiles.groups import Grouping
from mlops_dagster.profiles.reference import windows_of
from mlops_dagster.profiles.tables import profile_windows

Floats = npt.NDArray[np.float64]
# A window of a slice tells its mean loss from so many rows on.
FEWEST_ROWS = 30
# Of a slice's answers the newest windows are kept: a year of weeks.
SLICE_WINDOWS = 52


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Every:
    """All labelled rows as the model answers them, which of them it had not seen, and their windows.

    `windows` numbers each row's window, nan where it is in no complete one. `slices` and `answers`
    have a row for each too.
    """

    scored: Scored
    held_out: npt.NDArray[np.bool_]
    windows: Floats
    slices: pd.DataFrame = field(default_factory=pd.DataFrame)
    answers: pa.Table | None = None


def number_windows(event_times: pa.ChunkedArray | pa.Array, *, length: timedelta) -> Floats:
    """Number the window of each time; nan in the first and the last one, which may be cut off."""
    numbers = windows_of(event_times, length=length).to_numpy(zero_copy_only=False)
    found = numbers.astype(np.float64)
    known = found[np.isfinite(found)]
    first, last = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
    inside = (found > first) & (found < last)
    return np.where(inside, found, np.nan)


def levelled_losses(losses: Floats, task: Task, every: Every) -> Floats:
    """Measure the loss of every row, with those of fitted rows brought to the mean of held-out `losses`.

    Rows that a model was fitted on lose less than others, but from window to window they vary alike for
    their mean. Empty when fitted rows lost nothing, so that nothing can be told.
    """
    found = row_losses(task, every.scored)
    fitted = found[~every.held_out]
    level = float(np.nanmean(fitted)) if len(fitted) else 0.0
    if not level:
        return np.empty(0)
    return np.where(every.held_out, found, found * (np.nanmean(losses) / level))


def sketch_with_past(losses: Floats, levelled: Floats, windows: Floats) -> LossSketch:
    """Sketch held-out losses, with how windows of all rows differ, whose losses are `levelled`."""
    known = sketch(losses)
    if not len(levelled):
        return known
    _, sums = _sums(np.zeros(len(levelled)), windows, levelled)
    return _with_windows(known, _told(sums[0], fewest=1))


def sketch_groups_with_past(
    losses: Mapping[str, LossSketch],
    grouping: Grouping,
    levelled: Floats,
    every: Every,
    *,
    whole: LossSketch,
) -> dict[str, LossSketch]:
    """Give the sketched losses of each group how its windows differ beside all other rows'.

    Where the others moved by so many of their standard deviations, the group is expected to as well:
    only what it moved by otherwise is its own.
    """
    if not len(levelled) or grouping.column not in every.slices:
        return dict(losses)
    names, sums = _sums(grouping.of(every.slices[grouping.column]), every.windows, levelled)
    found = dict(losses)
    for at, name in enumerate(names):
        if name in losses:
            own, others = (
                _told(one, fewest=FEWEST_ROWS) for one in (sums[at], sums.sum(axis=0) - sums[at])
            )
            found[name] = _beside(losses[name], own, others, sd=whole.without(losses[name]).sd)
    return found


def _sums(groups: npt.NDArray[Any], windows: Floats, losses: Floats) -> tuple[list[str], Floats]:
    """Sum ones, losses and their squares by group and window: shape groups x windows x 3."""
    codes, names = pd.factorize(groups)
    places, numbers = pd.factorize(windows, sort=True)
    known = (places >= 0) & np.isfinite(losses)
    cells = codes[known] * len(numbers) + places[known]
    each = (np.ones(len(cells)), losses[known], losses[known] ** 2)
    size = len(names) * len(numbers)
    summed = np.array([np.bincount(cells, weights=one, minlength=size) for one in each])
    return list(names), summed.T.reshape(len(names), len(numbers), 3)


def _told(sums: Floats, *, fewest: int) -> pd.DataFrame:
    """Give mean, number of rows and the variance that is chance, of the windows with enough rows."""
    enough = np.flatnonzero(sums[:, 0] >= fewest)
    count, total, squares = sums[enough].T
    spread = np.maximum(squares - total**2 / count, 0.0) / np.maximum(count - 1, 1)
    told = {"mean": total / count, "count": count, "within": spread / count}
    return pd.DataFrame(told, index=enough)


def _beside(known: LossSketch, own: pd.DataFrame, others: pd.DataFrame, *, sd: float) -> LossSketch:
    both = own.index.intersection(others.index)
    if both.empty or not sd:
        return known
    scale, own, others = known.sd / sd, own.loc[both], others.loc[both]
    apart = own.assign(
        mean=own["mean"] - scale * others["mean"],
        within=own["within"] + scale**2 * others["within"],
    )
    return _with_windows(known, apart)


def _with_windows(known: LossSketch, told: pd.DataFrame) -> LossSketch:
    if told.empty:
        return known
    return replace(
        known,
        windows=tuple(told["mean"].tolist()),
        within=float(told["within"].mean()),
        long=known.rows / float(told["count"].mean()),
    )


def profile_groups_with_past(
    profiles: Mapping[str, TableProfile], grouping: Grouping, every: Every
) -> dict[str, TableProfile]:
    """Give the profiled answers of each group those of its windows: the same ones for all groups."""
    edges = next(iter(profiles.values()), None)
    if edges is None or every.answers is None or grouping.column not in every.slices:
        return dict(profiles)
    places, windows = pd.factorize(every.windows, sort=True)
    codes, names = pd.factorize(grouping.of(every.slices[grouping.column]))
    cells = pa.array(codes * len(windows) + places, pa.int64(), mask=places < 0)
    cut = profile_windows(every.answers, window_of=cells, edges_from=edges)
    newest = range(len(windows))[-SLICE_WINDOWS:]
    empty = subtract(edges, edges)
    first = {str(name): at * len(windows) for at, name in enumerate(names)}
    return {
        name: replace(
            one,
            windows=tuple(cut.get(first[name] + place, empty) for place in newest)
            if name in first
            else (),
        )
        for name, one in profiles.items()
    }
