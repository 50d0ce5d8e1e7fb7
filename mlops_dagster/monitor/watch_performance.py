"""Holds answers against labels, window by window, whenever labels came."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from mlops_dagster.declaration import LabelJoin
from mlops_dagster.monitor.answered import Answered, Reader
from mlops_dagster.monitor.champion import Champion
from mlops_dagster.monitor.due import findings_of, learned_until
from mlops_dagster.monitor.evidence import Join, newest_event
from mlops_dagster.monitor.explain import Explanation
from mlops_dagster.monitor.history import keep, read_history, seen_before
from mlops_dagster.monitor.label_places import Places, read_places
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.looks import NO_CHAMPION
from mlops_dagster.monitor.measured import LossVerdict, Measured
from mlops_dagster.monitor.measuring import explain, measure_answers
from mlops_dagster.monitor.performance import judge_performance
from mlops_dagster.monitor.performance_show import (
    SIGNALS,
    not_watched_checks,
    performance_checks,
    performance_table,
    places_sentence,
)
from mlops_dagster.monitor.slice_drift import judge_slice_drift
from mlops_dagster.monitor.slice_limits import SlicesLimits
from mlops_dagster.monitor.spec import DriftSpec, MonitorSpec, PerformanceSpec
from mlops_dagster.monitor.windows import Window, complete_windows
from mlops_dagster.profiles.answers import AnswerReference, read_answers
from mlops_dagster.records import Check, Finding, Outcome, Shown, Snapshot
from mlops_dagster.workbench import StepContext

FALLS = frozenset({"performance", "slice_performance"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceLook:
    """What one look at the labels gave."""

    findings: list[Finding] = field(default_factory=list)
    checks: tuple[Check, ...] = ()
    shown: dict[str, Shown] = field(default_factory=dict)


def performance_look(
    context: StepContext,
    spec: MonitorSpec,
    validated: Snapshot,
    champion: Champion | None,
    *,
    join: Join,
    labels: LabelJoin | None,
) -> PerformanceLook:
    """Look at the champion's answers, if that is declared."""
    if spec.performance is None:
        return PerformanceLook()
    if champion is None:
        return PerformanceLook(checks=not_watched_checks(NO_CHAMPION))
    return watch_performance(
        context,
        spec.performance,
        validated,
        champion,
        join=join,
        labels=labels,
        before=findings_of(context, frozenset(SIGNALS), champion=champion.version),
    )


def watch_performance(
    context: StepContext,
    spec: PerformanceSpec,
    validated: Snapshot,
    champion: Champion,
    *,
    join: Join,
    labels: LabelJoin | None,
    before: Sequence[Finding],
) -> PerformanceLook:
    """Measure the windows whose answers or labels changed since the last look, and judge them.

    The champion's own stored answers count; where too few of them have a label, it answers rows that
    came with theirs. What other versions answered is measured and not judged.
    """
    windows = performance_windows(context, spec, validated, champion)
    places = read_places(context, validated, labels, labels=champion.model.labels)
    reader = Reader(
        context=context, champion=champion, validated=validated, places=places, join=join
    )
    seen = list(_see(context, spec, reader, windows))
    keep(context, [one.measured for one in seen])
    judged = [(one.measured, one.verdicts) for one in seen]
    return PerformanceLook(
        findings=[
            verdict.finding(context.model, measured, at=context.at, champion=champion.version)
            for measured, verdicts in judged
            for verdict in verdicts
        ],
        checks=performance_checks(judged, before=before),
        shown=_shown(context, windows, places) | _explained(seen),
    )


def performance_windows(
    context: StepContext, spec: PerformanceSpec, validated: Snapshot, champion: Champion
) -> list[Window]:
    """List the newest complete windows since the rows that the champion was fitted on."""
    newest = newest_event(context, validated) if context.model.event_time else context.at
    if newest is None:
        return []
    first = learned_until(champion.reference)
    until = min(newest, context.at)
    start = first or until - spec.window * spec.most_windows
    return complete_windows(length=spec.window, after=start, until=until)[-spec.most_windows :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One window that changed: its numbers, what was found, and what explains a fall."""

    measured: Measured
    verdicts: Sequence[LossVerdict] = ()
    explanation: Explanation | None = None


def _see(
    context: StepContext, spec: PerformanceSpec, reader: Reader, windows: Sequence[Window]
) -> Iterator[Seen]:
    """Measure and judge what changed since the last look."""
    known = seen_before(context)
    reference = read_answers(reader.champion.model.folder)
    limits = _limits_of_slices(reader.champion, reference, spec)
    for one in _answered(context, spec, reader, windows):
        digest = _digest(one, spec)
        if known.get((one.window.start, one.version)) == digest:
            continue
        own = one.version == reader.champion.version
        measured = measure_answers(
            context.model,
            one,
            reference,
            spec=spec,
            at=context.at,
            digest=digest,
            champion=own,
        )
        yield (
            _judge(
                context,
                spec,
                reader.champion,
                one,
                measured,
                reference=reference,
                limits=limits,
            )
            if own
            else Seen(measured=measured)
        )


def _judge(
    context: StepContext,
    spec: PerformanceSpec,
    champion: Champion,
    answered: Answered,
    measured: Measured,
    *,
    reference: AnswerReference | None,
    limits: SlicesLimits,
) -> Seen:
    verdicts = judge_performance(context.model, measured, reference, spec=spec)
    if reference is None:
        return Seen(measured=measured, verdicts=verdicts)
    if spec.slices and reference.slices:
        verdicts += judge_slice_drift(
            answered.answer(),
            answered.inputs(),
            reference,
            spec=spec,
            limits=limits,
        )
    fallen = [one for one in verdicts if one.outcome is Outcome.REFUSED and one.signal in FALLS]
    if not fallen:
        return Seen(measured=measured, verdicts=verdicts)
    explanation = explain(context.model, answered, reference, champion.model)
    told = [
        replace(one, told=one.told + explanation.sentence) if one is fallen[0] else one
        for one in verdicts
    ]
    return Seen(measured=measured, verdicts=told, explanation=explanation)


def _limits_of_slices(
    champion: Champion, reference: AnswerReference | None, spec: PerformanceSpec
) -> SlicesLimits:
    rule = DriftSpec(window=spec.window)
    whole = Limits(champion.reference.predictions, rule, apart=True)
    return SlicesLimits(reference.slice_answers if reference else {}, whole=whole)


def _explained(seen: Sequence[Seen]) -> dict[str, Shown]:
    """Show what explains the worst fall."""
    fallen = [one for one in seen if one.explanation is not None]
    if not fallen:
        return {}
    worst = max(fallen, key=lambda one: max(each.excess for each in one.verdicts))
    table = worst.explanation.table if worst.explanation else ""
    return {
        "explanation": Shown(kind="markdown", value=f"**{worst.measured.window.label}** {table}")
    }


def _answered(
    context: StepContext, spec: PerformanceSpec, reader: Reader, windows: Sequence[Window]
) -> Iterator[Answered]:
    """Choose whose answers stand for a window: stored ones, if enough of them have a label."""
    stored = {
        window.start: list(each)
        for window, each in groupby(reader.stored(windows), key=lambda one: one.window)
    }
    for window in windows:
        there = stored.pop(window.start, [])
        champion = reader.champion.version
        own = [one for one in there if one.version == champion]
        yield from (one for one in there if one.version != champion)
        labelled = sum(len(one.labelled) for one in own)
        if context.model.event_time and labelled < spec.minimum_labels:
            now = reader.now(window)
            if now.rows and (not own or len(now.labelled) > labelled):
                own = [now]
        yield from own


def _digest(answered: Answered, spec: PerformanceSpec) -> str:
    told = [answered.source, answered.digest, spec.model_dump_json()]
    return hashlib.sha256("/".join(told).encode()).hexdigest()[:32]


def _shown(context: StepContext, windows: Sequence[Window], places: Places) -> dict[str, Shown]:
    history = read_history(context, windows)
    shown = {"labels": Shown(kind="text", value=places_sentence(places, windows))}
    if history:
        table = performance_table(history, at=context.at)
        shown["performance"] = Shown(kind="markdown", value=table)
    return shown
