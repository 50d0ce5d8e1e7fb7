"""Whether a slice became worse, over all slices together. Pure."""

from collections.abc import Sequence

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.metrics.limits import per_test
from mlops_dagster.metrics.losses import loss_name
from mlops_dagster.monitor.measured import LossVerdict, Measured, SliceMeasured, limit_of
from mlops_dagster.monitor.spec import PerformanceSpec
from mlops_dagster.records import Outcome


def judge_slices(
    model: ModelIdentity, measured: Measured, whole: LossVerdict, *, spec: PerformanceSpec
) -> list[LossVerdict]:
    """Judge each value with enough labels; all of them together alarm at the declared rate."""
    judged = [
        one
        for one in measured.slices
        if one.before is not None
        and one.before.rows >= spec.minimum_labels
        and one.loss.rows >= spec.minimum_labels
    ]
    quantile = per_test(spec.false_alarms, tests=len(judged))
    found = [
        _judge_slice(model, measured, one, whole=whole, quantile=quantile, tests=len(judged))
        for one in judged
    ]
    left = [one for one in measured.slices if one not in judged]
    if left or measured.absent:
        found.append(_unjudged(left, measured.absent, spec=spec))
    return sorted(found, key=lambda one: -one.excess)


def _judge_slice(
    model: ModelIdentity,
    measured: Measured,
    one: SliceMeasured,
    *,
    whole: LossVerdict,
    quantile: float,
    tests: int,
) -> LossVerdict:
    before = one.before or one.loss
    limit, _ = limit_of(before, one.loss.rows, quantile=quantile)
    alarm = one.loss.mean > limit
    name = loss_name(model.task)
    flat = {
        Outcome.PASSED: "while the whole is flat",
        Outcome.REFUSED: "as the whole is",
        Outcome.NOT_APPLICABLE: "while the whole could not be judged",
    }[whole.outcome]
    told = (
        f"{one.name}: {name} {one.loss.mean:.4f}, limit {limit:.4f} over {tests} slices together, "
        f"{one.loss.rows:,} labels against {before.rows:,} held-out rows ({before.mean:.4f})"
    )
    told += f"; worse {flat} ({measured.loss.mean:.4f})." if alarm else "."
    return LossVerdict(
        signal="slice_performance",
        subject=f"{name}: {one.name}",
        outcome=Outcome.REFUSED if alarm else Outcome.PASSED,
        told=told,
        labels=one.loss.rows,
        value=one.loss.mean,
        limit=limit,
    )


def _unjudged(
    left: Sequence[SliceMeasured], absent: Sequence[str], *, spec: PerformanceSpec
) -> LossVerdict:
    named = ", ".join(one.name for one in left[:5]) + (" and more" if len(left) > 5 else "")
    told = (
        f"{len(left)} slice(s) not applicable ({named}): {spec.minimum_labels} labels are needed, now "
        "and in the holdout."
    )
    if absent:
        told = (told if left else "") + (
            f" Not known of {', '.join(absent)}: the version carries no losses of it, or it is no "
            "input. Train again."
        )
    return LossVerdict(
        signal="slice_performance",
        subject="other slices",
        outcome=Outcome.NOT_APPLICABLE,
        told=told.strip(),
        labels=sum(one.loss.rows for one in left),
    )
