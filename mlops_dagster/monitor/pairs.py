"""The same column of two profiles, as two rows of counts over the same cells."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.metrics import drift
from mlops_dagster.metrics.drift import Floats
from mlops_dagster.profiles.columns import CategoryProfile, ColumnProfile, NumericProfile

Counts: TypeAlias = tuple[int, ...]
COARSE_BINS = 20
RARE = 5
# How far beyond the reference's edges rows may count: one absurd value must not decide a distance.
REACH_SD = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Counts of one column in the reference and now. `bounds` are in the column's own unit."""

    name: str
    measure: Literal["w1_sd", "js"]
    reference: Counts
    current: Counts
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    spread: float = 1.0
    steps: bool = False
    new_labels: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows are judged."""
        return sum(self.current)

    def distance(self, reference: npt.ArrayLike, current: npt.ArrayLike) -> Floats:
        """Measure how far counts in this pair's cells are apart, as this pair is judged."""
        if self.measure == "js":
            return drift.jensen_shannon(reference, current)
        found = drift.wasserstein(reference, current, bounds=self.bounds, steps=self.steps)
        return np.asarray(found / self.spread)

    @property
    def has_rare_cells(self) -> bool:
        """Tell whether fewer than five rows are expected in some label's cell."""
        share = self.rows / max(sum(self.reference), 1)
        return self.measure == "js" and min(self.reference) * share < RARE

    @property
    def widest(self) -> "Pair":
        """The same pair with the bounds as far as they go, whatever the current rows hold."""
        if not self.bounds:
            return self
        reach = REACH_SD * self.spread
        inner = self.bounds[1:-1]
        return replace(self, bounds=(inner[0] - reach, *inner, inner[-1] + reach))

    def coarse(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Join neighbouring bins of numbers until each has a twentieth of the reference."""
        sides = np.array([self.reference, self.current], dtype=np.int64)
        if self.labels or sides.shape[1] <= COARSE_BINS:
            return sides[0], sides[1]
        ends = np.cumsum(sides[0]) / max(sides[0].sum(), 1)
        cuts = np.searchsorted(ends, np.arange(1, COARSE_BINS) / COARSE_BINS, "right")
        joined = np.add.reduceat(sides, np.unique([0, *cuts]), axis=1)
        return joined[0], joined[1]


def pair_of_values(name: str, before: ColumnProfile, now: ColumnProfile) -> Pair:
    """Line up the values that are not null.

    Raises: DataNotFitError when the profiles were cut into other bins.
    """
    if isinstance(before, NumericProfile) and isinstance(now, NumericProfile):
        if before.edges == now.edges:
            return _pair_of_numbers(name, before, now)
    elif isinstance(before, CategoryProfile) and isinstance(now, CategoryProfile):
        return _pair_of_labels(name, before, now)
    message = (
        f"{name}: the window was not profiled in the reference's bins. "
        "Profile it with edges_from=<the reference>."
    )
    raise DataNotFitError(message)


def pair_of_nulls(name: str, before: ColumnProfile, now: ColumnProfile) -> Pair:
    """Line up rows with and without a value."""
    return Pair(
        name=name,
        measure="js",
        reference=(before.rows, before.nulls),
        current=(now.rows, now.nulls),
        labels=("a value", "null"),
    )


def _pair_of_labels(name: str, before: CategoryProfile, now: CategoryProfile) -> Pair:
    labels = sorted(before.counts)
    fresh = sorted((x for x in now.counts if x not in before.counts), key=lambda x: -now.counts[x])
    unnamed = now.other + sum(now.counts[label] for label in fresh)
    return Pair(
        name=name,
        measure="js",
        reference=(*(before.counts[label] for label in labels), before.other),
        current=(*(now.counts.get(label, 0) for label in labels), unnamed),
        labels=(*labels, "(other)"),
        # With labels beyond the cap in the reference, an unnamed one need not be new.
        new_labels=() if before.other else tuple(fresh),
    )


def _pair_of_numbers(name: str, before: NumericProfile, now: NumericProfile) -> Pair:
    if before.core_sd <= 0:  # one value only: there is no spread to measure a distance by
        return Pair(
            name=name,
            measure="js",
            reference=before.counts,
            current=now.counts,
            labels=("below", *(f"{edge:g}" for edge in before.edges[1:]), "above"),
        )
    return Pair(
        name=name,
        measure="w1_sd",
        reference=before.counts,
        current=now.counts,
        bounds=_bounds(before, now),
        spread=before.core_sd,
        steps=before.steps,
    )


def _bounds(before: NumericProfile, now: NumericProfile) -> tuple[float, ...]:
    low, high, reach = before.edges[0], before.edges[-1], REACH_SD * before.core_sd
    seen = [x for x in (before.minimum, now.minimum, low) if x is not None]
    most = [x for x in (before.maximum, now.maximum, high) if x is not None]
    return (max(min(seen), low - reach), *before.edges, min(max(most), high + reach))
