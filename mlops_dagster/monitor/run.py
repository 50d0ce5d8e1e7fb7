"""Looks at a model: how old the data and the champion are, and what drifted in each new window."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa

from mlops_dagster.declaration import LabelJoin
from mlops_dagster.monitor.ages import judge_ages
from mlops_dagster.monitor.champion import Champion, Load, champion_version, open_champion
from mlops_dagster.monitor.drift import ColumnVerdict, judge_drift, too_few_rows
from mlops_dagster.monitor.due import judged_before, windows_due
from mlops_dagster.monitor.evidence import Evidence, Join, gather
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.looks import (
    Look,
    Signal,
    drift_check,
    drift_findings,
    last_window,
    not_compared_check,
)
from mlops_dagster.monitor.page.facts import Current
from mlops_dagster.monitor.page.keep import keep_page, kept_columns
from mlops_dagster.monitor.roles import compare_roles, shown_roles
from mlops_dagster.monitor.served import Lake
from mlops_dagster.monitor.show import picture, shown_counts, worst_columns
from mlops_dagster.monitor.spec import DriftSpec, MonitorSpec
from mlops_dagster.monitor.watch_performance import performance_look
from mlops_dagster.monitor.watch_skew import watch_skew
from mlops_dagster.monitor.windows import Window
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.records import Check, Finding, Monitoring, Outcome, Shown, Snapshot
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.workbench import StepContext

_READERS = 2
SIGNALS: tuple[Signal, ...] = ("feature_drift", "prediction_drift")


def keep_rows(context: StepContext, rows: pa.Table, snapshot: Snapshot) -> pa.Table:  # noqa: ARG001
    """Join nothing: for a model without second tables."""
    return rows


def run(
    context: StepContext,
    spec: MonitorSpec,
    validated: Snapshot,
    *,
    join: Join = keep_rows,
    load: Load = load_verified,
    labels: LabelJoin | None = None,
) -> Monitoring:
    """Judge ages and each complete window since the last look; keep what was found.

    `join` adds what second tables knew, `load` opens the champion, `labels` says how the declared
    source of labels is joined.
    Raises: SpecError when `since` is no time, StoreError when a store does not answer.
    """
    serving = champion_version(context)
    version = serving.version if serving else None
    ages = judge_ages(context, spec.freshness, validated, version=version)
    before = judged_before(context, version=version) if version else []
    seen: list[tuple[Look, Evidence]] = []
    shown: dict[str, Shown] = {}
    champion = open_champion(context, serving, load=load) if serving and spec.looks else None
    current: Current | None = None
    if champion and spec.drift:
        due = windows_due(
            context, spec.drift, validated, reference=champion.reference, before=before
        )
        watch = Watch(context, champion, spec.drift)
        seen = list(watch.look(validated, due[: spec.drift.most_windows], join=join))
        shown = _shown_drift(champion, seen, left=len(due) - len(seen))
        # To judge the last window again takes seconds, and the last page shows it already.
        last = None if kept_columns(context, version) else last_window(before)
        current = watch.newest(validated, seen, last=last, join=join)
    beside = compare_roles(context, validated, live=version) if version else []
    looks = [look for look, _ in seen]
    findings = ages.findings(context, version=version)
    for look in looks:
        findings += drift_findings(context.model, look, at=context.at, champion=version or "")
    answers = performance_look(context, spec, validated, champion, join=join, labels=labels)
    lake = Lake(
        bench=context.bench,
        model=context.model,
        validated=validated,
        join=lambda rows: join(context, rows, validated),
        load=load,
    )
    skew = watch_skew(lake, spec.skew, at=context.at, version=version)
    findings += [*answers.findings, *skew.findings]
    context.bench.operations.add_findings(findings)
    drifts = _drift_checks(spec, looks, version=version, before=before)
    checks = (*ages.checks(), *drifts, *skew.checks, *answers.checks)
    page = keep_page(context, spec, checks=checks, serving=serving, current=current)
    counts = shown_counts(findings, looks)
    return _record(
        context,
        findings,
        checks=checks,
        shown=page | counts | shown | answers.shown | skew.shown | shown_roles(beside),
        version=version,
    )


class Watch:
    """One champion being looked at; its limits are drawn once for all windows."""

    def __init__(self, context: StepContext, champion: Champion, spec: DriftSpec) -> None:
        self._context, self._champion, self._spec = context, champion, spec
        everything = spec.model_copy(update={"columns": (), "exclude": ()})
        self._spec_of_predictions = everything
        self._of_features = Limits(champion.reference.features, spec)
        self._of_predictions = Limits(champion.reference.predictions, everything, apart=True)

    def look(
        self, validated: Snapshot, windows: Sequence[Window], *, join: Join
    ) -> Iterator[tuple[Look, Evidence]]:
        """Judge window after window; the next ones are read meanwhile, a few at a time."""
        read = partial(
            gather,
            self._context,
            self._champion,
            validated,
            enough=self._spec.minimum_rows,
            join=join,
        )
        for done in self._context.bench.compute.map_tasks(read, windows, workers=_READERS):
            evidence = done.value()
            look = self._judge(evidence)
            self._context.log.info(f"{evidence.window.label}: {evidence.rows} rows judged.")
            yield look, evidence

    def newest(
        self,
        validated: Snapshot,
        seen: Sequence[tuple[Look, Evidence]],
        *,
        last: Window | None,
        join: Join,
    ) -> Current | None:
        """Give the newest window that could be judged: of those just seen, else the `last` before."""
        judged = [pair for pair in seen if pair[0].judged]
        if not judged and last is not None:
            again = self.look(validated, [last], join=join)
            judged = [pair for pair in again if pair[0].judged]
        if not judged:
            return None
        look, evidence = judged[-1]
        return Current(reference=self._champion.reference, look=look, evidence=evidence)

    def _judge(self, evidence: Evidence) -> Look:
        reference = self._champion.reference
        sides = (
            (reference.features, evidence.features, self._spec, self._of_features),
            (
                reference.predictions,
                evidence.predictions,
                self._spec_of_predictions,
                self._of_predictions,
            ),
        )
        features, predictions = (_verdicts(*side) for side in sides)
        return Look(
            window=evidence.window,
            rows=evidence.rows,
            features=features,
            predictions=predictions,
            source=evidence.source,
        )


def _verdicts(
    reference: TableProfile, current: TableProfile, spec: DriftSpec, limits: Limits
) -> tuple[ColumnVerdict, ...]:
    if current.rows < spec.minimum_rows:
        return (too_few_rows(reference, current, spec=spec),)
    return tuple(judge_drift(reference, current, spec=spec, limits=limits))


def _drift_checks(
    spec: MonitorSpec,
    looks: Sequence[Look],
    *,
    version: str | None,
    before: Sequence[Finding],
) -> list[Check]:
    if spec.drift is None or version is None:
        return [not_compared_check(signal, declared=spec.drift is not None) for signal in SIGNALS]
    return [drift_check(signal, looks, before=before) for signal in SIGNALS]


def _shown_drift(
    champion: Champion, seen: Sequence[tuple[Look, Evidence]], *, left: int
) -> dict[str, Shown]:
    told = {
        "reference": Shown(
            kind="text",
            value=(
                f"version {champion.version}: {champion.reference.rows:,} rows in "
                f"{champion.reference.windows} complete windows"
            ),
        )
    }
    if left > 0:
        told["windows_left"] = Shown(kind="integer", value=left)
    if seen:
        table = worst_columns([look for look, _ in seen])
        told["worst_columns"] = Shown(kind="markdown", value=table)
        told |= picture(champion.reference, seen)
    return told


def _record(
    context: StepContext,
    findings: Sequence[Finding],
    *,
    checks: tuple[Check, ...],
    shown: dict[str, Shown],
    version: str | None,
) -> Monitoring:
    alarms = sum(one.outcome is Outcome.REFUSED for one in findings)
    told = [
        (one.signal, one.subject, str(one.window_end), one.outcome, one.value) for one in findings
    ]
    digest = hashlib.sha256(json.dumps([version, told]).encode()).hexdigest()
    alarming = [check.because for check in checks if check.outcome is Outcome.REFUSED]
    return Monitoring(
        **context.stamp(),
        data_version=digest,
        because=" ".join(alarming) or "Nothing is over its limit.",
        checks=checks,
        shown=shown,
        findings=len(findings),
        alarms=alarms,
        champion_version=version,
    )
