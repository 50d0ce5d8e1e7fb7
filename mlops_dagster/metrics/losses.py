"""What each answer cost, and how large the mean of a window may be by chance alone."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlops_dagster.declaration import Task
from mlops_dagster.metrics.limits import FEWEST_WINDOWS, shifted_gamma_quantile
from mlops_dagster.metrics.quality import Scored, log_losses
from mlops_dagster.metrics.wobble import Wobble, wobble_of


def loss_name(task: Task) -> str:
    """Name the metric that is the mean of the rows' losses."""
    return "log_loss" if task.is_classification else "mae"


def row_losses(task: Task, scored: Scored) -> npt.NDArray[np.float64]:
    """Measure each row: log loss of a classification, absolute error of a number."""
    if task.is_classification:
        return log_losses(scored)
    truth = np.asarray(scored.y_true, dtype=np.float64)
    return np.abs(np.asarray(scored.y_pred, dtype=np.float64) - truth)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSketch:
    """Losses of many rows, small: their number, mean, spread, skewness, and those of windows.

    `windows` are the mean losses of complete windows, in order; `within` is how much of their variance
    is chance. They may be of more rows than these, which are then worth `long` windows; 0 when they are
    of the same rows. Those of a slice are beside the other rows': what all have in common is taken off.
    """

    rows: int
    mean: float
    sd: float
    skew: float
    windows: tuple[float, ...] = ()
    within: float = 0.0
    long: float = 0.0

    def limit(self, rows: int, *, quantile: float) -> float:
        """Tell the mean loss that `rows` rows stay under, with this probability, if nothing changed.

        It is the quantile of the bootstrap, which draws both samples again from these losses: the
        first three cumulants of the difference of two means are known exactly, and its tail is read
        from the shifted gamma that has them.
        """
        if not self.rows or not rows:
            return math.nan
        variance = self.sd**2 * (1 / rows + 1 / self.rows)
        if variance <= 0:
            return self.mean
        third = self.skew * self.sd**3 * (1 / rows**2 - 1 / self.rows**2)
        skew = third / variance**1.5
        return shifted_gamma_quantile(
            self.mean, math.sqrt(variance), max(skew, 0.0), quantile=quantile
        )

    def limit_over_time(self, *, quantile: float) -> float | None:
        """Tell the mean that one more window stays under, as windows differ anyway.

        The mean of few rows has a window's own variance in it too, so it is further off.
        None when there are fewer than 20 windows: their spread is then not known well enough.
        """
        from scipy.special import stdtrit

        count = len(self.windows)
        if count < FEWEST_WINDOWS:
            return None
        means = np.asarray(self.windows, dtype=np.float64)
        reach = float(stdtrit(count - 1, quantile)) * math.sqrt(1 + 1 / (self.long or count))
        return float(means.mean() + reach * means.std(ddof=1))

    def without(self, part: "LossSketch") -> "LossSketch":
        """Sketch the losses of the rows that are not in a part of these; their skewness is not known."""
        rows = self.rows - part.rows
        if rows <= 0:
            return LossSketch(rows=0, mean=0.0, sd=0.0, skew=0.0)
        mean = (self.rows * self.mean - part.rows * part.mean) / rows
        squares = self.rows * (self.sd**2 + self.mean**2) - part.rows * (part.sd**2 + part.mean**2)
        return LossSketch(
            rows=rows, mean=mean, sd=math.sqrt(max(squares / rows - mean**2, 0.0)), skew=0.0
        )

    def wobble(self, *, fewest: int = FEWEST_WINDOWS) -> Wobble | None:
        """Tell how far one more window is from this mean beyond chance; None with fewer windows."""
        count = len(self.windows)
        if count < fewest:
            return None
        seen = float(np.var(self.windows, ddof=1))
        found = wobble_of(seen, self.within, windows=count)
        return found.times(math.sqrt(1 + 1 / (self.long or count)))


def sketch(losses: npt.NDArray[np.float64]) -> LossSketch:
    """Sketch the losses of some rows; those that are no numbers are left out."""
    known = np.asarray(losses, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return LossSketch(rows=0, mean=0.0, sd=0.0, skew=0.0)
    mean, sd = float(known.mean()), float(known.std())
    skew = float(np.mean((known - mean) ** 3)) / sd**3 if sd > 0 else 0.0
    return LossSketch(rows=len(known), mean=mean, sd=sd, skew=skew)
