"""Whether answers became worse, by the labels that are known, and by estimate before. Pure.

The loss of a window is held against the bootstrap of the holdout's losses, at the window's own number
of labels; of slices at the declared rate of false alarms over all of them together.
"""

import math

from mlops_dagster.declaration import BUSINESS, ModelIdentity
from mlops_dagster.metrics.estimated import BLIND
from mlops_dagster.metrics.limits import per_test
from mlops_dagster.metrics.losses import LossSketch, loss_name
from mlops_dagster.monitor.measured import CHANCE_ONLY, LossVerdict, Measured, limit_of
from mlops_dagster.monitor.performance_slices import judge_slices
from mlops_dagster.monitor.spec import PerformanceSpec
from mlops_dagster.profiles.answers import AnswerReference
from mlops_dagster.records import Outcome

NO_REFERENCE = (
    "the version carries no losses of its holdout; train and register it with this package version"
)


def judge_performance(
    model: ModelIdentity,
    measured: Measured,
    reference: AnswerReference | None,
    *,
    spec: PerformanceSpec,
) -> list[LossVerdict]:
    """Judge the whole, then what it was worth, then each slice, then the estimate."""
    before = reference.loss if reference else None
    whole = _judge_whole(model, measured, before, spec=spec)
    worth = _judge_worth(measured, reference.forgone if reference else None, spec=spec)
    sliced = judge_slices(model, measured, whole, before=before, spec=spec)
    return [whole, *worth, *sliced, *_judge_estimate(model, measured, before, spec=spec)]


def _judge_whole(
    model: ModelIdentity, measured: Measured, before: LossSketch | None, *, spec: PerformanceSpec
) -> LossVerdict:
    name = loss_name(model.task)
    missing = _reason_not_to(measured.loss, before, spec=spec)
    if missing or before is None:
        told = f"{name}: not applicable, {missing}; {measured.known}."
        return LossVerdict(
            signal="performance",
            subject=name,
            outcome=Outcome.NOT_APPLICABLE,
            told=told,
            labels=measured.loss.rows,
            value=measured.loss.mean if measured.loss.rows else None,
        )
    quantile = per_test(spec.false_alarms, tests=1)
    limit, time = limit_of(before, measured.loss.rows, quantile=quantile)
    alarm = measured.loss.mean > limit
    said = (
        f"{name} {measured.loss.mean:.4f}, limit {limit:.4f} by the bootstrap of {before.rows:,} "
        f"held-out rows ({before.mean:.4f}), {measured.known}, version {measured.version}, "
        f"{measured.source}.{'' if time else CHANCE_ONLY}"
    )
    return LossVerdict(
        signal="performance",
        subject=name,
        outcome=Outcome.REFUSED if alarm else Outcome.PASSED,
        told=said,
        labels=measured.loss.rows,
        value=measured.loss.mean,
        limit=limit,
    )


def _judge_worth(
    measured: Measured, before: LossSketch | None, *, spec: PerformanceSpec
) -> list[LossVerdict]:
    """Hold the business value against the least that chance leaves of the holdout's."""
    now = measured.forgone
    if now is None or before is None or now.rows < spec.minimum_labels:
        return []
    most, _ = limit_of(before, now.rows, quantile=per_test(spec.false_alarms, tests=1))
    return [
        LossVerdict(
            signal="performance",
            subject=BUSINESS,
            outcome=Outcome.REFUSED if now.mean > most else Outcome.PASSED,
            told=(
                f"{BUSINESS} {-now.mean:.4f} per decision, at least {-most:.4f} by the bootstrap of "
                f"{before.rows:,} held-out rows ({-before.mean:.4f}), {measured.known}."
            ),
            labels=now.rows,
            value=-now.mean,
            limit=-most,
        )
    ]


def _reason_not_to(loss: LossSketch, before: LossSketch | None, *, spec: PerformanceSpec) -> str:
    if before is None or not before.rows:
        return NO_REFERENCE
    if loss.rows < spec.minimum_labels:
        return f"fewer than the {spec.minimum_labels:,} labels needed"
    return ""


def _judge_estimate(
    model: ModelIdentity, measured: Measured, before: LossSketch | None, *, spec: PerformanceSpec
) -> list[LossVerdict]:
    if not measured.estimates:
        return []
    name = loss_name(model.task)
    found = measured.estimates.get(name)
    told = ", ".join(
        f"{metric} {one.value:.4f} ({one.low:.4f} to {one.high:.4f})"
        for metric, one in measured.estimates.items()
    )
    limit = None
    if found is not None and before is not None and measured.rows >= spec.minimum_labels:
        limit, _ = limit_of(before, measured.rows, quantile=per_test(spec.false_alarms, tests=1))
    outcome = Outcome.NOT_APPLICABLE
    if limit is not None and found is not None and math.isfinite(limit):
        outcome = Outcome.REFUSED if found.value > limit else Outcome.PASSED
        told += f"; {name} limit {limit:.4f}"
    return [
        LossVerdict(
            signal="estimated_performance",
            subject=name,
            outcome=outcome,
            told=f"estimated on {measured.rows:,} answers: {told}. {BLIND}",
            labels=measured.rows,
            value=found.value if found else None,
            limit=limit,
        )
    ]
