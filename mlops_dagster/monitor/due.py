"""Which windows a look has to judge, and what decides that."""

from collections.abc import Sequence
from datetime import datetime

from mlops_dagster.errors import SpecError
from mlops_dagster.monitor.ages import judge_ages
from mlops_dagster.monitor.champion import champion_version
from mlops_dagster.monitor.evidence import PREDICTIONS, batches_there, newest_event
from mlops_dagster.monitor.freshness import as_utc
from mlops_dagster.monitor.label_places import label_versions
from mlops_dagster.monitor.looks import judged_batches, last_judged
from mlops_dagster.monitor.spec import DriftSpec, MonitorSpec, PerformanceSpec
from mlops_dagster.monitor.windows import ANCHOR, Window, complete_windows, new_batches
from mlops_dagster.profiles.moments import can_be
from mlops_dagster.profiles.reference import ReferenceProfile, read_reference
from mlops_dagster.records import JSON, Finding, Snapshot
from mlops_dagster.stores.operations import FindingFilter
from mlops_dagster.workbench import StepContext

SINCE = "since"
DRIFT_SIGNALS = frozenset({"feature_drift", "prediction_drift"})


def windows_due(
    context: StepContext,
    spec: DriftSpec,
    validated: Snapshot,
    *,
    reference: ReferenceProfile,
    before: Sequence[Finding],
) -> list[Window]:
    """List the windows since the last one judged, or since the rows that the champion was fitted on.

    A window is complete when both the clock and the newest event have passed its end. Without event
    times each batch is a window.
    """
    if context.model.event_time is None:
        there = batches_there(context, validated)
        return new_batches(there, judged=judged_batches(before), through=reference.through)
    newest = newest_event(context, validated)
    after = _since(context) or last_judged(before) or learned_until(reference)
    if newest is None:
        return []
    until = min(newest, context.at)
    first = as_utc(after) if after else until - spec.window * spec.most_windows
    return complete_windows(length=spec.window, after=first, until=until)


def learned_until(reference: ReferenceProfile) -> datetime | None:
    """Tell the newest time that a champion was fitted on; None where it is unknown or a sentinel."""
    newest = as_utc(reference.newest) if reference.newest else None
    return newest if newest and can_be(newest) else None


def judged_before(context: StepContext, *, version: str | None) -> list[Finding]:
    """List the drift findings with this champion."""
    return findings_of(context, DRIFT_SIGNALS, champion=version) if version else []


def findings_of(context: StepContext, signals: frozenset[str], *, champion: str) -> list[Finding]:
    """List all findings of some signals with one champion."""
    model, operations = context.model, context.bench.operations
    only = FindingFilter(signals=signals, champion=champion)
    kept: list[Finding] = []
    after = 0
    while page := operations.findings(model.name, model.segment, after=after, only=only):
        after = page[-1][0]
        kept += [one for _, one in page]
    return kept


def state_of(context: StepContext, spec: MonitorSpec, validated: Snapshot) -> JSON:
    """Say what decides a look: the rows, the champion, the last complete window, which ages are over.

    Not the instant itself: a look an hour later that would see the same is the same work.
    """
    version = champion_version(context)
    name = version.version if version else None
    ages = judge_ages(context, spec.freshness, validated, version=name)
    predictions = context.bench.tables.latest(context.table(PREDICTIONS))
    told: dict[str, JSON] = {
        "rows": validated.data_version,
        "lookups": {key: table.digest for key, table in sorted(validated.lookups.items())},
        "champion": name,
        "predictions": predictions.ref.digest if predictions else None,
        "data_age": ages.data.outcome.value,
        "model_age": ages.model.outcome.value if ages.model else None,
    }
    if spec.performance is not None:
        told |= {
            "labels": dict(label_versions(context)),
            "last_answers": _last_end(context, spec.performance),
        }
    if version is None or spec.drift is None:
        return told
    reference = read_reference(context.bench.registry.download(version))
    before = judged_before(context, version=name)
    due = windows_due(context, spec.drift, validated, reference=reference, before=before)
    newest = newest_event(context, validated)
    last = due[-1].end if due else last_judged(before)
    # What one look leaves over is work for the next; without it both would seem to be the same.
    left = max(len(due) - spec.drift.most_windows, 0)
    return told | {
        "last_window": last.isoformat() if last and newest else None,
        "left": left,
    }


def _last_end(context: StepContext, spec: PerformanceSpec) -> str:
    """Name the last window of answers that the clock has passed."""
    return str((context.at - ANCHOR) // spec.window)


def _since(context: StepContext) -> datetime | None:
    told = context.config.get(SINCE, "")
    if not told:
        return None
    try:
        return datetime.fromisoformat(told)
    except ValueError as error:
        message = (
            f"{context.model.name}/monitoring: {SINCE} is {told!r}, no ISO 8601 time. "
            "Write it as 2013-04-01 or 2013-04-01T00:00:00+00:00."
        )
        raise SpecError(message) from error
