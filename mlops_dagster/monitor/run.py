"""Looks at a model: how old the data and the champion are, and what drifted in each new window."""

import hashlib
import json
from collections.abc import Sequence

import pyarrow as pa

from mlops_dagster.declaration import LabelJoin
from mlops_dagster.monitor.ages import judge_ages
from mlops_dagster.monitor.champion import Load, champion_version, open_champion
from mlops_dagster.monitor.due import judged_before
from mlops_dagster.monitor.evidence import Join
from mlops_dagster.monitor.looks import drift_findings
from mlops_dagster.monitor.page.keep import keep_page, kept_columns
from mlops_dagster.monitor.roles import compare_roles, shown_roles
from mlops_dagster.monitor.served import Lake
from mlops_dagster.monitor.show import shown_counts
from mlops_dagster.monitor.spec import MonitorSpec
from mlops_dagster.monitor.watch_drift import DriftSeen, drift_checks, watch_drift
from mlops_dagster.monitor.watch_performance import performance_look
from mlops_dagster.monitor.watch_skew import watch_skew
from mlops_dagster.records import Check, Finding, Monitoring, Outcome, Shown, Snapshot
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.workbench import StepContext


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
    context = context.at_one_moment()
    serving = champion_version(context)
    version = serving.version if serving else None
    ages = judge_ages(context, spec.freshness, validated, version=version)
    before = judged_before(context, version=version) if version else []
    champion = open_champion(context, serving, load=load) if serving and spec.looks else None
    kept = kept_columns(context, version)
    drift = DriftSeen()
    if champion and spec.drift:
        drift = watch_drift(
            context, spec.drift, validated, champion, before=before, kept=kept, join=join
        )
    beside = compare_roles(context, validated, live=version) if version else []
    findings = ages.findings(context, version=version)
    for look in drift.looks:
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
    drifts = drift_checks(spec, drift.looks, version=version, before=before)
    checks = (*ages.checks(spec.freshness), *drifts, *skew.checks, *answers.checks)
    page = keep_page(
        context, spec, checks=checks, serving=serving, current=drift.current, kept=kept
    )
    counts = shown_counts(findings, drift.looks)
    return _record(
        context,
        findings,
        checks=checks,
        shown=page | counts | drift.shown | answers.shown | skew.shown | shown_roles(beside),
        version=version,
    )


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
        because=" ".join(alarming) or unalarming(checks),
        checks=checks,
        shown=shown,
        findings=len(findings),
        alarms=alarms,
        champion_version=version,
    )


def unalarming(checks: Sequence[Check]) -> str:
    """Say that nothing is over its limit; where nothing was judged, that this is no all-clear."""
    if any(one.outcome is Outcome.PASSED for one in checks):
        return "Nothing is over its limit."
    return (
        "Nothing was judged: no limit is declared, or none could be held against anything yet. "
        "`monitor` in the declaration has freshness, drift and performance."
    )
