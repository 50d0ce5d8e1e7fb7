"""Turns a window's answers and labels into numbers."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.metrics.business import RowValues
from mlops_dagster.metrics.estimated import Estimate, estimate
from mlops_dagster.metrics.losses import LossSketch, loss_name, row_losses, sketch
from mlops_dagster.metrics.quality import Scored, measure
from mlops_dagster.monitor.answered import Answered, named
from mlops_dagster.monitor.explain import Explanation, explain_rise
from mlops_dagster.monitor.labels import Floats
from mlops_dagster.monitor.measured import Measured, SliceMeasured
from mlops_dagster.monitor.spec import PerformanceSpec
from mlops_dagster.profiles.answers import AnswerReference, group_losses
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.scoring.worth import row_values

EMPTY = LossSketch(rows=0, mean=0.0, sd=0.0, skew=0.0)


def measure_answers(
    model: ModelIdentity,
    answered: Answered,
    reference: AnswerReference | None,
    *,
    spec: PerformanceSpec,
    at: datetime,
    digest: str,
    champion: bool = True,
) -> Measured:
    """Measure what is labelled by every metric, and estimate the metrics of all answers.

    `reference` is the champion's; of another version's answers it only says how slices are cut.
    """
    places, answers = answered.labelled, answered.answer()
    scored = with_truth(answers, answered.truth, places) if len(places) else None
    losses = row_losses(model.task, scored) if scored else np.empty(0)
    worth = row_values(spec.business)
    slices, absent = _slices(answered, places, losses, reference, wanted=spec.slices)
    return Measured(
        window=answered.window,
        version=answered.version,
        source=answered.source,
        rows=answered.rows,
        loss=sketch(losses) if len(losses) else EMPTY,
        as_of=at,
        metrics=_metrics(scored, spec.metrics, worth) if scored else {},
        estimates=_estimates(answers, reference, spec.metrics) if champion else {},
        slices=slices,
        absent=absent,
        forgone=sketch(-worth(scored)) if worth and scored else None,
        digest=digest,
    )


def with_truth(answers: Scored, truth: Floats, places: npt.NDArray[np.int64]) -> Scored:
    """Put some answers beside their labels."""
    known = truth[places]
    return Scored(
        y_true=named(known, answers.labels) if answers.labels else known,
        y_pred=answers.y_pred[places],
        probability=None if answers.probability is None else answers.probability[places],
        labels=answers.labels,
    )


def _metrics(scored: Scored, metrics: Sequence[str], worth: RowValues | None) -> dict[str, float]:
    found = measure(
        metrics,
        scored.y_true,
        scored.y_pred,
        probability=scored.probability,
        labels=scored.labels,
        worth=worth,
    )
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _estimates(
    answers: Scored, reference: AnswerReference | None, metrics: Sequence[str]
) -> dict[str, Estimate]:
    if reference is None or reference.calibrator is None or not len(answers.y_pred):
        return {}
    return estimate(metrics, answers, reference.calibrator)


def _slices(
    answered: Answered,
    places: npt.NDArray[np.int64],
    losses: npt.NDArray[np.float64],
    reference: AnswerReference | None,
    *,
    wanted: Sequence[str],
) -> tuple[list[SliceMeasured], tuple[str, ...]]:
    if reference is None or not wanted or not len(losses):
        return [], ()
    known = {one.grouping.column: one for one in reference.slices if one.grouping.column in wanted}
    given = answered.inputs().iloc[places].reset_index(drop=True) if known else pd.DataFrame()
    absent = tuple(name for name in wanted if name not in known or name not in given)
    found: list[SliceMeasured] = []
    for column, before in known.items():
        if column in absent:
            continue
        groups = before.grouping.of(given[column])
        found += [
            SliceMeasured(column=column, value=value, loss=loss, before=before.losses.get(value))
            for value, loss in group_losses(groups, losses).items()
        ]
    return found, absent


def explain(
    model: ModelIdentity, answered: Answered, reference: AnswerReference, artifact: ScoringModel
) -> Explanation:
    """Rank slices and features by what they explain of the loss of a window."""
    places = answered.labelled
    losses = row_losses(model.task, with_truth(answered.answer(), answered.truth, places))
    inputs = answered.inputs().iloc[places].reset_index(drop=True)
    features = artifact.features(inputs)
    parts = [("slice", one, inputs) for one in reference.slices]
    parts += [("feature", one, features) for one in reference.features]
    columns = [
        (kind, one, group_losses(one.grouping.of(rows[one.grouping.column]), losses))
        for kind, one, rows in parts
        if one.grouping.column in rows
    ]
    now = sketch(losses)
    return Explanation(
        metric=loss_name(model.task),
        before=reference.loss,
        now=now,
        ranked=tuple(explain_rise(columns, before=reference.loss, now=now)),
    )
