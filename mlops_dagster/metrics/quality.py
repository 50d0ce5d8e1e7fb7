"""The catalogue of how good a model is. Names are known without importing scikit-learn."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mlops_dagster.declaration import BUSINESS, Task
from mlops_dagster.errors import SpecError

Array: TypeAlias = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Rows to measure: the truth, the predicted label or number, and a column per label's probability.

    `labels` is every label the model knows, sorted as the model sorts them; for a binary target the
    last one is the positive one. `probability` has a column per label, or is the positive one's alone.
    """

    y_true: Array
    y_pred: Array
    probability: Array | None
    labels: tuple[object, ...]

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """The place of each true label in `labels`; -1 for a label that the model does not know."""
        return _places(self.y_true, self.labels)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The place of each predicted label in `labels`."""
        return _places(self.y_pred, self.labels)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """The probabilities as a matrix with one column per label."""
        given = np.asarray(self.probability, dtype=np.float64)
        if given.ndim == 2 and given.shape[1] > 1:
            return given
        positive = given.reshape(-1)
        return np.column_stack([1.0 - positive, positive])


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measure of a model, and what it needs."""

    name: str
    tasks: frozenset[Task]
    greater_is_better: bool
    needs: Literal["probability", "prediction"]
    compute: Mapping[Task, Callable[[Scored], float]]

    def score(
        self,
        y_true: Array,
        y_pred: Array,
        probability: Array | None,
        labels: Iterable[object] = (),
    ) -> float:
        """Measure predictions; nan where it is undefined (no rows, one class only, no probability)."""
        known = tuple(labels) or tuple(np.unique(np.asarray(y_true)).tolist())
        truth = np.asarray(y_true)
        if not len(truth) or (self.needs == "probability" and probability is None):
            return math.nan
        scored = Scored(
            y_true=truth, y_pred=np.asarray(y_pred), probability=probability, labels=known
        )
        return float(self.compute[self._task(known)](scored))

    def _task(self, labels: tuple[object, ...]) -> Task:
        if len(self.compute) == 1:
            return next(iter(self.compute))
        return Task.BINARY if len(labels) <= 2 else Task.MULTICLASS


def metrics_for(task: Task) -> tuple[str, ...]:
    """List the metrics that a task has, sorted."""
    return tuple(sorted(name for name, metric in METRICS.items() if task in metric.tasks))


def measure(
    names: Iterable[str],
    y_true: Array,
    y_pred: Array,
    *,
    probability: Array | None = None,
    labels: Iterable[object] = (),
    worth: Callable[[Scored], npt.NDArray[np.float64]] | None = None,
) -> dict[str, float]:
    """Measure predictions by several metrics at once; `worth` values each row for `business_value`.

    Raises: SpecError for a name that is not in the catalogue.
    """
    known = tuple(labels)
    found = {}
    for name in names:
        if name == BUSINESS and worth is not None:
            scored = Scored(y_true=y_true, y_pred=y_pred, probability=probability, labels=known)
            found[name] = float(np.mean(worth(scored))) if len(y_true) else math.nan
        else:
            found[name] = _metric(name).score(y_true, y_pred, probability, known)
    return found


def greater_is_better(name: str) -> bool:
    """Tell which way a metric is better."""
    return name == BUSINESS or _metric(name).greater_is_better


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise SpecError.unknown(where="metric", value=name, known=METRICS)
    return METRICS[name]


def _places(values: Array, labels: tuple[object, ...]) -> npt.NDArray[np.int64]:
    if len(labels) > 50:
        order = {label: place for place, label in enumerate(labels)}
        return np.asarray([order.get(value, -1) for value in values.tolist()], dtype=np.int64)
    found = np.full(len(values), -1, dtype=np.int64)
    for place, label in enumerate(labels):
        found[values == label] = place
    return found


def _roc_auc(scored: Scored) -> float:
    truth = scored.truth == 1
    if truth.all() or not truth.any():
        return math.nan
    _, place, ties = np.unique(scored.shares[:, 1], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    positives = int(truth.sum())
    area = ranks[truth].sum() - positives * (positives + 1) / 2
    return float(area / (positives * (len(truth) - positives)))


def _roc_auc_each(scored: Scored) -> float:
    """One against the rest, weighted by how often each label is there."""
    truth, shares = scored.truth, scored.shares
    present = [label for label in range(len(scored.labels)) if (truth == label).any()]
    if len(present) < 2:
        return math.nan
    areas, weights = [], []
    for label in present:
        one = Scored(
            y_true=truth == label,
            y_pred=truth == label,
            probability=shares[:, label],
            labels=(False, True),
        )
        areas.append(_roc_auc(one))
        weights.append(int((truth == label).sum()))
    return float(np.average(areas, weights=weights))


def _average_precision(scored: Scored) -> float:
    truth = scored.truth == 1
    if truth.all() or not truth.any():
        return math.nan
    _, place, ties = np.unique(-scored.shares[:, 1], return_inverse=True, return_counts=True)
    hits = np.bincount(place, weights=truth)
    precision = np.cumsum(hits) / np.cumsum(ties)
    return float(np.sum(precision * hits) / truth.sum())


def log_losses(scored: Scored) -> npt.NDArray[np.float64]:
    """Measure each row's log loss in nats; nan where the probabilities are of other labels.

    A label that the model does not know was given probability 0, floored at 2e-16.
    """
    truth, shares = scored.truth, scored.shares
    if shares.shape[1] != len(scored.labels):
        return np.full(len(truth), math.nan)
    sums = shares.sum(axis=1)
    given = np.where(truth >= 0, shares[np.arange(len(truth)), truth], 0.0) / sums
    return np.asarray(-np.log(np.clip(given, np.finfo(np.float64).eps, 1.0)))


def _log_loss(scored: Scored) -> float:
    return float(log_losses(scored).mean())


def _brier(scored: Scored) -> float:
    return float(np.mean((scored.shares[:, 1] - (scored.truth == 1)) ** 2))


def _accuracy(scored: Scored) -> float:
    return float(np.mean(scored.y_true == scored.y_pred))


def _balanced_accuracy(scored: Scored) -> float:
    truth, predicted = scored.truth, scored.predicted
    recalls = [float((predicted[truth == label] == label).mean()) for label in np.unique(truth)]
    return float(np.mean(recalls)) if len(recalls) > 1 else math.nan


def _precision_recall(scored: Scored, label: int) -> tuple[float, float]:
    truth, predicted = scored.truth == label, scored.predicted == label
    hits = float((truth & predicted).sum())
    return _share(hits, predicted.sum()), _share(hits, truth.sum())


def _share(part: float, whole: float) -> float:
    return part / float(whole) if whole else math.nan


def _precision(scored: Scored) -> float:
    return _precision_recall(scored, 1)[0]


def _recall(scored: Scored) -> float:
    return _precision_recall(scored, 1)[1]


def _f1_of(scored: Scored, label: int) -> float:
    truth, predicted = scored.truth == label, scored.predicted == label
    return _share(2.0 * float((truth & predicted).sum()), truth.sum() + predicted.sum())


def _f1(scored: Scored) -> float:
    return _f1_of(scored, 1)


def _f1_macro(scored: Scored) -> float:
    there = np.union1d(scored.truth, scored.predicted)
    return float(np.mean([_f1_of(scored, int(label)) for label in there]))


def _errors(scored: Scored) -> npt.NDArray[np.float64]:
    truth = np.asarray(scored.y_true, dtype=np.float64)
    return np.asarray(scored.y_pred, dtype=np.float64) - truth


def _rmse(scored: Scored) -> float:
    return float(np.sqrt(np.mean(_errors(scored) ** 2)))


def _mae(scored: Scored) -> float:
    return float(np.mean(np.abs(_errors(scored))))


def _median_absolute_error(scored: Scored) -> float:
    return float(np.median(np.abs(_errors(scored))))


def _r2(scored: Scored) -> float:
    truth = np.asarray(scored.y_true, dtype=np.float64)
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return 1.0 - float(np.sum(_errors(scored) ** 2)) / spread if spread else math.nan


def _catalogue() -> Mapping[str, Metric]:
    binary, multi, number = Task.BINARY, Task.MULTICLASS, Task.REGRESSION
    rows: list[tuple[str, bool, bool, dict[Task, Callable[[Scored], float]]]] = [
        ("roc_auc", True, True, {binary: _roc_auc, multi: _roc_auc_each}),
        ("average_precision", True, True, {binary: _average_precision}),
        ("log_loss", False, True, {binary: _log_loss, multi: _log_loss}),
        ("brier", False, True, {binary: _brier}),
        ("accuracy", True, False, {binary: _accuracy, multi: _accuracy}),
        ("balanced_accuracy", True, False, {multi: _balanced_accuracy}),
        ("f1", True, False, {binary: _f1}),
        ("f1_macro", True, False, {multi: _f1_macro}),
        ("precision", True, False, {binary: _precision}),
        ("recall", True, False, {binary: _recall}),
        ("rmse", False, False, {number: _rmse}),
        ("mae", False, False, {number: _mae}),
        ("median_absolute_error", False, False, {number: _median_absolute_error}),
        ("r2", True, False, {number: _r2}),
    ]
    return MappingProxyType(
        {
            name: Metric(
                name=name,
                tasks=frozenset(compute),
                greater_is_better=greater,
                needs="probability" if probability else "prediction",
                compute=MappingProxyType(compute),
            )
            for name, greater, probability, compute in rows
        }
    )


METRICS: Mapping[str, Metric] = _catalogue()
