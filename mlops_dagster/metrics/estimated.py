"""How good answers are before any label is known, from the model's own probabilities.

Confidence-based performance estimation: probabilities are calibrated on rows whose labels are known
(isotonic regression), and each row then counts as what it is likely to be. It sees that rows became
harder. It cannot see that the same rows mean something else now: concept drift is invisible to it.
Source: NannyML, "Confidence-based Performance Estimation"; agrees with its CBPE, see `make test-peers`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from mlops_dagster.metrics.quality import METRICS, Scored

BLIND = "Estimated without labels: concept drift is invisible to it."
DRAWS = 200
MOST_DRAWN_ROWS = 1_000
COVERED = 0.95

Floats = npt.NDArray[np.float64]
Knots = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A metric that is expected, and between which values it falls in 95 of 100 such windows."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrator:
    """What a probability was worth where labels are known: one rising curve for each label.

    `rows` is how many rows the curves were fitted on.
    """

    curves: tuple[Knots, ...]
    rows: int

    def apply(self, shares: Floats) -> Floats:
        """Calibrate a column per label; each row then adds up to 1 again."""
        if len(self.curves) == 1:
            positive = np.interp(shares[:, 1], *self.curves[0])
            return np.column_stack([1.0 - positive, positive])
        columns = [np.interp(shares[:, at], *curve) for at, curve in enumerate(self.curves)]
        each = np.column_stack(columns)
        total = each.sum(axis=1, keepdims=True)
        even = np.full_like(each, 1.0 / each.shape[1])
        return np.asarray(np.divide(each, total, out=even, where=total > 0))


def fit_calibrator(scored: Scored) -> Calibrator | None:
    """Fit the curves on rows whose labels are known; None when only one label is there."""
    truth, shares = scored.truth, scored.shares
    wanted = [1] if len(scored.labels) == 2 else range(len(scored.labels))
    if len(np.unique(truth)) < 2 or shares.shape[1] != len(scored.labels):
        return None
    curves = tuple(_curve(shares[:, at], truth == at) for at in wanted)
    return Calibrator(curves=curves, rows=len(truth))


def _curve(share: Floats, hit: npt.NDArray[np.bool_]) -> Knots:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(share, hit)
    return tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist())


def estimate(
    names: Iterable[str], scored: Scored, calibrator: Calibrator, *, seed: int = 0
) -> dict[str, Estimate]:
    """Estimate metrics of answers whose labels are not known (`y_true` is not looked at).

    The interval is from drawing labels by the calibrated probabilities again and again. A metric
    that has no estimate is left out.
    """
    likely = calibrator.apply(scored.shares)
    known = _BINARY if len(scored.labels) == 2 else _MULTICLASS
    wanted = [name for name in names if name in known]
    if not len(likely) or not wanted:
        return {}
    values = {name: known[name](scored, likely) for name in wanted}
    spans = _spans(wanted, scored, likely, calibrator, seed=seed)
    return {
        name: Estimate(value=value, low=value + spans[name][0], high=value + spans[name][1])
        for name, value in values.items()
        if math.isfinite(value)
    }


def _spans(
    names: list[str], scored: Scored, likely: Floats, calibrator: Calibrator, *, seed: int
) -> dict[str, tuple[float, float]]:
    """How far below and above its expectation each metric falls, at this and the calibrator's size."""
    chance = np.random.default_rng(seed)
    rows = min(len(likely), MOST_DRAWN_ROWS)
    ends = np.cumsum(likely, axis=1)
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(DRAWS):
        chosen = chance.integers(len(likely), size=rows)
        places = (chance.random((rows, 1)) > ends[chosen][:, :-1]).sum(axis=1)
        drawn = _drawn(scored, chosen, places)
        for name in names:
            found[name].append(
                METRICS[name].score(drawn.y_true, drawn.y_pred, drawn.probability, drawn.labels)
            )
    shrink = math.sqrt(rows * (1 / len(likely) + 1 / calibrator.rows))
    return {name: _span(np.asarray(values), shrink) for name, values in found.items()}


def _drawn(scored: Scored, chosen: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> Scored:
    given = np.asarray(scored.probability)
    labels = np.asarray(scored.labels)
    return Scored(
        y_true=labels[places],
        y_pred=scored.y_pred[chosen],
        probability=given[chosen],
        labels=scored.labels,
    )


def _span(values: Floats, shrink: float) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return -math.inf, math.inf
    tail = (1 - COVERED) / 2
    low, high = np.quantile(known, [tail, 1 - tail]) - known.mean()
    return float(low * shrink), float(high * shrink)


# --- EXPECTATIONS ---


def _roc_auc(scored: Scored, likely: Floats) -> float:
    positive, negative = _sorted_by_share(scored, likely)
    whole = positive.sum() * negative.sum()
    above = np.cumsum(negative) - negative / 2
    return float((positive * above).sum() / whole) if whole > 0 else math.nan


def _average_precision(scored: Scored, likely: Floats) -> float:
    positive, negative = (side[::-1] for side in _sorted_by_share(scored, likely))
    hits, rows = np.cumsum(positive), np.cumsum(positive + negative)
    whole = positive.sum()
    return float((positive * hits / rows).sum() / whole) if whole > 0 else math.nan


def _sorted_by_share(scored: Scored, likely: Floats) -> tuple[Floats, Floats]:
    """Expected positives and negatives at each distinct probability, lowest first."""
    distinct, place = np.unique(scored.shares[:, 1], return_inverse=True)
    positive, negative = (
        np.asarray(np.bincount(place, likely[:, at], minlength=len(distinct)), dtype=np.float64)
        for at in (1, 0)
    )
    return positive, negative


def _log_loss(scored: Scored, likely: Floats) -> float:
    shares = scored.shares / scored.shares.sum(axis=1, keepdims=True)
    floored = np.clip(shares, np.finfo(np.float64).eps, 1.0)
    return float(-(likely * np.log(floored)).sum(axis=1).mean())


def _brier(scored: Scored, likely: Floats) -> float:
    share = scored.shares[:, 1]
    return float((likely[:, 1] * (1 - share) ** 2 + likely[:, 0] * share**2).mean())


def _accuracy(scored: Scored, likely: Floats) -> float:
    return float(likely[np.arange(len(likely)), scored.predicted].mean())


def _balanced_accuracy(scored: Scored, likely: Floats) -> float:
    rates = [_rates(scored, likely, label)[1] for label in range(likely.shape[1])]
    return float(np.mean(rates))


def _precision(scored: Scored, likely: Floats) -> float:
    return _rates(scored, likely, 1)[0]


def _recall(scored: Scored, likely: Floats) -> float:
    return _rates(scored, likely, 1)[1]


def _f1(scored: Scored, likely: Floats) -> float:
    return _rates(scored, likely, 1)[2]


def _f1_macro(scored: Scored, likely: Floats) -> float:
    return float(np.mean([_rates(scored, likely, label)[2] for label in range(likely.shape[1])]))


def _rates(scored: Scored, likely: Floats, label: int) -> tuple[float, float, float]:
    """Expected precision, recall and F1 of one label."""
    said = scored.predicted == label
    hits, there = float(likely[said, label].sum()), float(likely[:, label].sum())
    precision = hits / said.sum() if said.any() else math.nan
    recall = hits / there if there else math.nan
    both = said.sum() + there
    return float(precision), float(recall), float(2 * hits / both) if both else math.nan


_Expectation = Callable[[Scored, Floats], float]
_BINARY: Mapping[str, _Expectation] = MappingProxyType(
    {
        "roc_auc": _roc_auc,
        "average_precision": _average_precision,
        "log_loss": _log_loss,
        "brier": _brier,
        "accuracy": _accuracy,
        "precision": _precision,
        "recall": _recall,
        "f1": _f1,
    }
)
_MULTICLASS: Mapping[str, _Expectation] = MappingProxyType(
    {
        "log_loss": _log_loss,
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "f1_macro": _f1_macro,
    }
)
