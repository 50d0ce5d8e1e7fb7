"""Where the bins of a column end: at quantiles of a sample, or at each of its few values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.profiles.columns import (
    CATEGORY_CAP,
    CategoryProfile,
    ColumnProfile,
    NumericProfile,
)

# 64 even quantiles, and tail edges that halve eight times: without them a heavy tail's distance is
# off by most of a standard deviation.
QUANTILES = sorted(
    {i / 64 for i in range(1, 64)}
    | {2.0**-i / 64 for i in range(1, 9)}
    | {1 - 2.0**-i / 64 for i in range(1, 9)}
)
MOST_STEPS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What a sample of a column holds, without nulls. `edges` are the quantiles of numbers."""

    distinct: int
    edges: tuple[float, ...] | None = None
    lowest: float = 0.0

    @property
    def has_few_values(self) -> bool:
        """Tell whether these are numbers that may each get a bin of their own."""
        return self.edges is not None and self.distinct <= MOST_STEPS * 1.5


def sketched(values: pa.ChunkedArray, empty: ColumnProfile) -> Sketch:
    """Look at a sample of a column; `empty` says whether it holds numbers or labels."""
    if not isinstance(empty, NumericProfile):
        return Sketch(distinct=pc.count_distinct(values).as_py())
    if not len(values):
        return Sketch(distinct=0, edges=())
    numbers = np.sort(values.to_numpy())
    # Of sorted numbers a quantile is the one at its place: no interpolated value that nobody had.
    places = np.ceil(np.array(QUANTILES) * len(numbers)).astype(int) - 1
    return Sketch(
        distinct=1 + int(np.count_nonzero(np.diff(numbers))),
        edges=tuple(numbers[np.maximum(places, 0)].tolist()),
        lowest=float(numbers[0]),
    )


def cut(
    empty: ColumnProfile, seen: Sketch, values: list[float] | None, sampled: int
) -> ColumnProfile:
    """Say how a column is counted. `values` are all of its values when they are few."""
    if isinstance(empty, CategoryProfile):
        text = seen.distinct > max(CATEGORY_CAP, sampled / 2)
        return CategoryProfile(nulls=0, comparable=empty.comparable and not text)
    steps = values is not None and len(values) <= MOST_STEPS
    found = values if steps else _steady(seen.edges or (), sampled)
    edges = np.unique(np.asarray(found, dtype=np.float64))
    if len(edges) and (steps or edges[0] <= seen.lowest):
        # The smallest value gets a bin of its own, so that anything below it is seen as new.
        below = edges[0] - max(abs(edges[0]), 1.0) * 1e-9
        edges = np.concatenate([[below], edges])
    return NumericProfile(nulls=0, counts=(), edges=tuple(edges.tolist()), steps=steps)


def _steady(edges: Sequence[float], sampled: int) -> list[float]:
    """Keep the quantiles with at least five rows beyond them: no few rows may stretch the edges."""
    return [
        edge
        for edge, level in zip(edges, QUANTILES, strict=False)
        if min(level, 1 - level) * sampled >= 5
    ]
