"""How far a column of one model may move: by chance, and as its windows always did."""

import math
from functools import reduce
from zlib import crc32

from mlops_dagster.metrics.limits import FEWEST_WINDOWS, Calibration, calibrate, limit_over_time
from mlops_dagster.metrics.wobble import Wobble, wobble_of
from mlops_dagster.monitor.pairs import Counts, Pair, pair_of_nulls, pair_of_values
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.profiles.columns import TableProfile, merge, subtract

NULLS = ": null share"


class Limits:
    """The limits of one reference, each drawn or measured once and then used for every window.

    The windows of a reference are cut from its own rows; with `apart` they are of other rows, as those
    of the answers are: the level is told by few rows that were held out, the spread by all.
    """

    def __init__(self, reference: TableProfile, spec: DriftSpec, *, apart: bool = False) -> None:
        self._reference, self._apart = reference, apart
        self._enough = [one for one in reference.windows if one.rows >= spec.minimum_rows]
        self._calibrations: dict[tuple[str, Counts, int], Calibration] = {}
        self._past: list[tuple[TableProfile, TableProfile]] | None = None
        self._differences: dict[str, dict[int, float]] = {}

    def chance(self, pair: Pair, *, quantile: float) -> float:
        """Tell the distance that a window of the pair's rows stays under when nothing drifted.

        Drawn once per column and doubling of the row count, and scaled between; for labels where one
        is rare, drawn for exactly this count, since single rows make steps.
        """
        near = pair.rows if pair.has_rare_cells else _doubling(pair.rows)
        return self._calibration(pair, near).limit(pair.rows, quantile=quantile)

    def wobble_in(self, pair: Pair, squares: float, *, few: float, windows: int) -> Wobble:
        """Take chance off the mean square of distances; `few` is the sum of one over each row count."""
        drawn = self._calibration(pair, _doubling(max(pair.rows, 1)))
        scale = few / (1 / drawn.current + 1 / drawn.reference)
        by_chance = (drawn.mean**2 + drawn.sd**2) * scale
        of_means = few if pair.measure == "w1_sd" else None
        return wobble_of(squares, by_chance, windows=windows, of_means=of_means)

    def _calibration(self, pair: Pair, rows: int) -> Calibration:
        key = (pair.name, pair.reference, rows)
        if key not in self._calibrations:
            self._calibrations[key] = calibrate(
                pair.reference,
                rows,
                distance=pair.widest.distance,
                steps=pair.steps or pair.has_rare_cells,
                of_gaps=pair.measure == "w1_sd",
                # Each column its own: bad luck of one draw must not move all limits at once.
                seed=crc32(pair.name.encode()),
            )
        return self._calibrations[key]

    def over_time(self, pair: Pair, *, quantile: float) -> float | None:
        """Tell the distance that the reference's own windows stay under; None when they are too few."""
        found = limit_over_time(list(self.differences(pair).values()), quantile=quantile)
        return None if found is None else found * self._short()

    def _short(self) -> float:
        """Tell how much farther a window is from a short reference than from all other windows.

        A reference as long as k windows has 1/k of a window's own variance, all others almost none.
        """
        if not self._apart:
            return 1.0
        count = len(self._enough)
        long = self._reference.rows * count / sum(one.rows for one in self._enough)
        return math.sqrt(max((1 + 1 / long) / (1 + 1 / (count - 1)), 1.0))

    def differences(self, pair: Pair) -> dict[int, float]:
        """Tell how far each window of the reference, by its place, is from the rest of it."""
        if pair.name not in self._differences:
            self._differences[pair.name] = self._measure(pair.widest)
        return self._differences[pair.name]

    def _measure(self, pair: Pair) -> dict[int, float]:
        pairs = {place: self._cells(pair.name, *one) for place, one in enumerate(self.windows())}
        return {
            place: float(pair.distance(one.reference, one.current))
            for place, one in pairs.items()
            if one
        }

    def wobble_of_windows(self, pair: Pair) -> Wobble | None:
        """Tell how far one more window is off by more than chance; None when the windows are too few."""
        found = self.differences(pair)
        if len(found) < FEWEST_WINDOWS:
            return None
        squares = sum(distance**2 for distance in found.values()) / len(found)
        rows = [(window.rows, rest.rows) for rest, window in self.windows()]
        few = sum(1 / now + 1 / then for now, then in rows) / len(rows)
        return self.wobble_in(pair, squares, few=few, windows=len(found)).times(self._short())

    def pair_of(self, name: str) -> Pair | None:
        """The reference's own counts of what a pair of this name is about, if it has them."""
        there = name.removesuffix(NULLS) in self._reference.columns
        return self._cells(name, self._reference, self._reference) if there else None

    def windows(self) -> list[tuple[TableProfile, TableProfile]]:
        """Each window with the rest of the reference: with itself in it, it would seem too near.

        There are none when they are too few to tell how windows differ.
        """
        if self._past is None:
            enough = self._enough if len(self._enough) >= FEWEST_WINDOWS else []
            whole = reduce(merge, enough) if enough and self._apart else self._reference
            self._past = [(subtract(whole, window), window) for window in enough]
        return self._past

    def _cells(self, of: str, rest: TableProfile, window: TableProfile) -> Pair | None:
        name = of.removesuffix(NULLS)
        before, now = rest.columns[name], window.columns[name]
        if of.endswith(NULLS):
            return pair_of_nulls(of, before, now)
        return pair_of_values(name, before, now) if before.rows and now.rows else None


def _doubling(rows: int) -> int:
    """The largest power of two that is no more."""
    return 1 << (rows.bit_length() - 1)
