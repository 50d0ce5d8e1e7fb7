"""Whether answers became worse, by the labels that are known, and by estimate before. Pure.

The loss of a window is held against the bootstrap of the holdout's losses, at the window's own number
of labels; of slices at the declared rate of false alarms over all of them together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.metrics.estimated import BLIND, Estimate
from mlops_dagster.metrics.limits import FEWEST_WINDOWS, per_test
from mlops_dagster.metrics.losses import LossSketch, loss_name
from mlops_dagster.monitor.spec import PerformanceSpec
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Finding, Outcome

PerformanceSignal = Literal["performance", "slice_performance", "estimated_performance"]
NO_REFERENCE = (
    "the version carries no losses of its holdout; train and register it with this package version"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceMeasured:
    """The losses of one value of one slice; `before` is None when the holdout had no such value."""

    column: str
    value: str
    loss: LossSketch
    before: LossSketch | None

    @property
    def name(self) -> str:
        """The slice as people write it."""
        return f"{self.column}={self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one window's answers by one version came to. `rows` answers, `loss.rows` with a label.

    `absent` are the declared slices that the version carries no losses of, or that are no input.
    """

    window: Window
    version: str
    source: str
    rows: int
    loss: LossSketch
    as_of: datetime
    metrics: Mapping[str, float]
    estimates: Mapping[str, Estimate]
    slices: Sequence[SliceMeasured] = ()
    absent: Sequence[str] = ()
    digest: str = ""

    @property
    def coverage(self) -> float:
        """The share of the answers whose label is known, 0 to 1."""
        return self.loss.rows / self.rows if self.rows else 0.0

    @property
    def known(self) -> str:
        """How much is known, and when."""
        return (
            f"{self.loss.rows:,} labels ({self.coverage:.0%} of {self.rows:,} answers) "
            f"as of {self.as_of:%Y-%m-%d %H:%M} UTC"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossVerdict:
    """What was found of one loss."""

    signal: PerformanceSignal
    subject: str
    outcome: Outcome
    told: str
    labels: int
    value: float | None = None
    limit: float | None = None

    def finding(
        self, model: ModelIdentity, measured: Measured, *, at: datetime, champion: str
    ) -> Finding:
        """Write it down."""
        return Finding(
            model=model.name,
            segment=model.segment,
            signal=self.signal,
            subject=self.subject,
            outcome=self.outcome,
            value=self.value,
            limit=self.limit,
            rows=self.labels,
            window_start=measured.window.start,
            window_end=measured.window.end,
            at=at,
            because=f"{measured.window.label}: {self.told}",
            champion_version=champion,
        )

    @property
    def excess(self) -> float:
        """How many times the limit the loss is; 0 when it was not judged."""
        return 0.0 if self.value is None else self.value / max(self.limit or 0.0, 1e-12)


def judge_performance(
    model: ModelIdentity, measured: Measured, before: LossSketch | None, *, spec: PerformanceSpec
) -> list[LossVerdict]:
    """Judge the whole, then each slice, then the estimate; `before` are the holdout's losses."""
    whole = _judge_whole(model, measured, before, spec=spec)
    sliced = _judge_slices(model, measured, whole, spec=spec)
    return [whole, *sliced, *_judge_estimate(model, measured, before, spec=spec)]


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
    limit, time = _limit(before, measured.loss.rows, quantile=quantile)
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


CHANCE_ONLY = (
    f" The limit is of chance alone: the holdout has fewer than {FEWEST_WINDOWS} windows to tell how "
    "windows differ anyway."
)


def _limit(before: LossSketch, rows: int, *, quantile: float) -> tuple[float, bool]:
    """The larger of what chance gives, and of what windows differ anyway, if that is known."""
    chance = before.limit(rows, quantile=quantile)
    time = before.limit_over_time(quantile=quantile)
    return (chance, False) if time is None else (max(chance, time), True)


def _reason_not_to(loss: LossSketch, before: LossSketch | None, *, spec: PerformanceSpec) -> str:
    if before is None or not before.rows:
        return NO_REFERENCE
    if loss.rows < spec.minimum_labels:
        return f"fewer than the {spec.minimum_labels} labels needed"
    return ""


def _judge_slices(
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
    limit, _ = _limit(before, one.loss.rows, quantile=quantile)
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
        limit, _ = _limit(before, measured.rows, quantile=per_test(spec.false_alarms, tests=1))
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
