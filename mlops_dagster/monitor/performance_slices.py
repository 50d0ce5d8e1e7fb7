"""Whether a slice became worse, over all slices together. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.metrics.limits import FEWEST_WINDOWS, per_test
from mlops_dagster.metrics.losses import LossSketch, loss_name
from mlops_dagster.metrics.wobble import FEWEST_OF_A_PART, Wobble, together
from mlops_dagster.monitor.measured import TOO_FEW, LossVerdict, Measured, SliceMeasured
from mlops_dagster.monitor.spec import SAFE_ROWS, PerformanceSpec
from mlops_dagster.records import Outcome

EMPTY = LossSketch(rows=0, mean=0.0, sd=0.0, skew=0.0)


@dataclass(frozen=True, slots=True)
class Beside:
    """What a slice is seen beside: the whole window and its verdict, the whole holdout, other tests."""

    measured: Measured
    whole: LossVerdict
    before: LossSketch | None
    tests: int


def judge_slices(
    model: ModelIdentity,
    measured: Measured,
    whole: LossVerdict,
    *,
    before: LossSketch | None,
    spec: PerformanceSpec,
) -> list[LossVerdict]:
    """Judge each value with enough labels; all of them together alarm at the declared rate.

    `before` are the losses of the whole holdout.
    """
    judged = [
        one
        for one in measured.slices
        if one.before is not None
        and one.before.rows >= spec.minimum_labels
        and one.loss.rows >= spec.minimum_labels
    ]
    quantile = per_test(spec.false_alarms, tests=len(judged))
    found = [
        _judge_slice(model, one, Beside(measured, whole, before, len(judged)), quantile=quantile)
        for one in judged
    ]
    left = [one for one in measured.slices if one not in judged]
    if left or measured.absent:
        found.append(_unjudged(left, measured.absent, spec=spec))
    return sorted(found, key=lambda one: -one.excess)


def _judge_slice(
    model: ModelIdentity, one: SliceMeasured, beside: Beside, *, quantile: float
) -> LossVerdict:
    before = one.before or one.loss
    allowed = _allowed(one, before, beside, quantile=quantile)
    alarm = one.loss.mean > allowed.limit
    name = loss_name(model.task)
    flat = {
        Outcome.PASSED: "while the whole is flat",
        Outcome.REFUSED: "than the whole, which is worse too",
        Outcome.NOT_APPLICABLE: "while the whole could not be judged",
    }[beside.whole.outcome]
    told = (
        f"{one.name}: {name} {one.loss.mean:.4f}, limit {allowed.limit:.4f} over {beside.tests} slices "
        f"together, {one.loss.rows:,} labels against {before.rows:,} held-out rows ({before.mean:.4f})"
    )
    told += f"; worse {flat} ({beside.measured.loss.mean:.4f})." if alarm else "."
    return LossVerdict(
        signal="slice_performance",
        subject=f"{name}: {one.name}",
        outcome=Outcome.REFUSED if alarm else Outcome.PASSED,
        told=f"{told} {allowed.told}",
        labels=one.loss.rows,
        value=one.loss.mean,
        limit=allowed.limit,
    )


@dataclass(frozen=True, slots=True)
class Allowed:
    """How large the loss of a slice may be, and what that allows for."""

    limit: float
    told: str


def _allowed(one: SliceMeasured, before: LossSketch, beside: Beside, *, quantile: float) -> Allowed:
    """Allow a slice what the other rows rose by, chance, and how its windows differ anyway.

    What became easier for the others need not for the slice: it may always be as on the holdout.
    """
    reach = before.limit(one.loss.rows, quantile=quantile) - before.mean
    then = beside.before.without(before) if beside.before else EMPTY
    now = beside.measured.loss.without(one.loss)
    rose, allows = 0.0, []
    if min(then.rows, now.rows) >= SAFE_ROWS and then.sd:
        scale = before.sd / then.sd
        rose = max(scale * (now.mean - then.mean), 0.0)
        reach = math.hypot(reach, scale * (then.limit(now.rows, quantile=quantile) - then.mean))
    if rose:
        allows.append(f"what all other rows rose by ({then.mean:.4f} to {now.mean:.4f})")
    wobble = _wobble(one, before, beside)
    if wobble is None:
        allows.append(f"chance alone: {TOO_FEW}")
    else:
        reach = wobble.widen(reach, quantile=quantile)
        allows += ["chance", wobble.told]
    told = ", and for ".join(allows)
    return Allowed(before.mean + rose + reach, f"The limit allows for {told}.")


def _wobble(one: SliceMeasured, before: LossSketch, beside: Beside) -> Wobble | None:
    """The slice's own where it has enough windows, else that of its column's, else that of all rows."""
    if not before.sd:
        return None
    own = _in_sd(before, fewest=FEWEST_OF_A_PART)
    if own is None or own.windows < FEWEST_WINDOWS:
        column = [each for each in beside.measured.slices if each.column == one.column]
        parts = (_in_sd(each.before, fewest=FEWEST_OF_A_PART) for each in column if each.before)
        lent = _in_sd(beside.before, fewest=FEWEST_WINDOWS) if beside.before else None
        own = together(own, parts) or (lent.of_all() if lent else None)
    return own.times(before.sd) if own else None


def _in_sd(losses: LossSketch, *, fewest: int) -> Wobble | None:
    found = losses.wobble(fewest=fewest)
    return found.times(1 / losses.sd) if found and losses.sd else None


def _unjudged(
    left: Sequence[SliceMeasured], absent: Sequence[str], *, spec: PerformanceSpec
) -> LossVerdict:
    named = ", ".join(one.name for one in left[:5]) + (" and more" if len(left) > 5 else "")
    told = (
        f"{len(left)} slice(s) not applicable ({named}): {spec.minimum_labels:,} labels are needed, now "
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
