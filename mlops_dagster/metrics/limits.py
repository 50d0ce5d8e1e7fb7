"""How large a distance still is chance: from redrawing rows, and from how windows differ anyway."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mlops_dagster.metrics.drift import Counts, Floats, shares

DRAWS, DRAWS_OF_FEW = 2_000, 4_000
FEWEST_WINDOWS = 20
_LARGEST = 20
_FEW_ROWS = 4_096
_MANY_ROWS = 20_000
_COMMON = 30
_CELLS_AT_ONCE = 5_000


def per_test(false_alarms: float, *, tests: int) -> float:
    """Tell the quantile each of `tests` is judged at, so that all together alarm at `false_alarms`."""
    return float((1.0 - false_alarms) ** (1.0 / max(tests, 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a distance is when nothing drifted: `current` rows against `reference` rows."""

    mean: float
    sd: float
    skew: float
    reference: int
    current: int
    draws: int
    largest: tuple[float, ...]
    steps: bool

    def limit(self, rows: int, *, quantile: float) -> float:
        """Tell the distance that `rows` rows without drift do not pass, with this probability.

        The distances here are roots, so they shrink with the root of 1/rows + 1/reference. That holds
        for row counts near the calibrated one; far from it draw again.
        """
        now, then = 1 / rows + 1 / self.reference, 1 / self.current + 1 / self.reference
        top = shifted_gamma_quantile(self.mean, self.sd, self.skew, quantile=quantile)
        if self.steps:
            top = max(top, self._drawn(quantile))
        return top * math.sqrt(now / then)

    def _drawn(self, quantile: float) -> float:
        """The quantile as drawn: no smooth tail follows steps, but one draw may decide it."""
        rank = int((1.0 - quantile) * self.draws)
        return self.largest[rank] if rank < len(self.largest) else 0.0


def calibrate(
    reference: Counts,
    rows: int,
    *,
    distance: Callable[[Floats, Floats], Floats],
    steps: bool = True,
    of_gaps: bool = False,
    seed: int = 0,
    draws: int | None = None,
) -> Calibration:
    """Draw the reference and a window of `rows` again and again from the reference's own shares.

    One row is shared out among the bins, so that a value never seen before is rare, not impossible.
    `distance` is given many pairs at once, one a line. `steps` tells that single rows may show in it;
    `of_gaps` that it hangs on differences of shares alone, so that both sides' chance is drawn as one.
    """
    draws = draws or (DRAWS_OF_FEW if rows < _FEW_ROWS else DRAWS)
    counts = np.asarray(reference, dtype=np.int64)
    total = int(counts.sum())
    likely = shares(counts, added=1.0 / len(counts))
    chance = np.random.default_rng(seed)
    sides: tuple[float, float] = (total, rows)
    if of_gaps and not steps:
        sides = (math.inf, 1 / (1 / total + 1 / rows))
    found = np.concatenate(
        [
            distance(*(_redrawn(side, likely, some, chance, exact=steps) for side in sides))
            for some in _blocks(draws, cells=len(counts))
        ]
    )
    mean, sd = float(np.mean(found)), float(np.std(found))
    skew = float(np.mean((found - mean) ** 3)) / sd**3 if sd > 0 else 0.0
    return Calibration(
        mean=mean,
        sd=sd,
        skew=skew,
        reference=total,
        current=rows,
        draws=draws,
        largest=tuple(np.sort(found)[: -_LARGEST - 1 : -1].tolist()),
        steps=steps,
    )


def _blocks(draws: int, *, cells: int) -> list[int]:
    """Cut draws into parts that stay in a processor's cache."""
    most = max(_CELLS_AT_ONCE // cells, 1)
    return [min(most, draws - done) for done in range(0, draws, most)]


def _redrawn(
    rows: float, likely: Floats, draws: int, chance: np.random.Generator, *, exact: bool
) -> Floats:
    """Draw counts of `rows` rows anew, one draw a line; of infinitely many rows the shares are known.

    Unless `exact` each cell is drawn by itself, common ones as normal: a fraction of the time, and
    shares that are as good, since distances are of shares and not of counts.
    """
    if rows == math.inf:
        return likely
    if exact and rows < _MANY_ROWS:
        return chance.multinomial(int(rows), likely, size=draws).astype(np.float64)
    expected = rows * likely
    common = expected >= _COMMON
    drawn = chance.standard_normal((draws, len(likely)))
    drawn *= np.sqrt(expected)
    drawn += expected
    if not common.all():
        drawn[:, ~common] = chance.poisson(expected[~common], size=(draws, int((~common).sum())))
    return drawn


def shifted_gamma_quantile(mean: float, sd: float, skew: float, *, quantile: float) -> float:
    """Read a quantile of the shifted gamma (Pearson III) with these three moments."""
    from scipy.special import gammaincinv, ndtri

    if sd <= 0:
        return mean
    if skew < 1e-3:
        return mean + sd * float(ndtri(quantile))
    shape = 4.0 / skew**2
    return mean + sd * (float(gammaincinv(shape, quantile)) - shape) / math.sqrt(shape)


def limit_over_time(distances: Sequence[float], *, quantile: float) -> float | None:
    """Tell the distance that one more window stays under, given each past window against the rest.

    None when there are fewer than 20 windows: their spread is then not known well enough.
    """
    from scipy.special import stdtrit

    roots = np.sqrt(np.asarray(distances, dtype=np.float64))
    windows = len(roots)
    if windows < FEWEST_WINDOWS:
        return None
    reach = float(stdtrit(windows - 1, quantile)) * math.sqrt(1 + 1 / windows)
    return float(roots.mean() + reach * roots.std(ddof=1)) ** 2
