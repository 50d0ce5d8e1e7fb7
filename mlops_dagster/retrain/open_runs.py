"""Which run of a model is open, and what became of the one that was asked for."""

from datetime import timedelta

import dagster as dg

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import NOUNS, Outcome
from mlops_dagster.resources import MODEL, SEGMENT
from mlops_dagster.workbench import Workbench

_WAITING = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
]
_START_UP = timedelta(minutes=2)


def open_run(instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity) -> str | None:
    """Name a run of the model that waits, or works: one that stopped renewing its lease is dead."""
    tags = {MODEL: model.name, SEGMENT: model.segment}
    statuses = [*_WAITING, dg.DagsterRunStatus.STARTED]
    records = instance.get_run_records(dg.RunsFilter(tags=tags, statuses=statuses))
    for record in records:
        run = record.dagster_run
        leased = bench.operations.held(f"run:{model.address}:{run.run_id}")
        if leased or run.status in _WAITING or wall_now() - record.create_timestamp < _START_UP:
            return f"run {run.run_id[:8]}"
    return None


def asked_by_others(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, *, sensor: str
) -> str | None:
    """Name another sensor's request that has no run yet."""
    for action in ("update", "retrain"):
        last = bench.operations.decisions(model.name, model.segment, action=action, limit=1)
        for one in last:
            asked = str(one.evidence.get("by", ""))
            if asked and asked != sensor and run_of_key(instance, one.run_key) is None:
                return f"the run asked by {asked}"
    return None


def run_of_key(instance: dg.DagsterInstance, key: str) -> dg.DagsterRun | None:
    """Find the run that was requested under a key."""
    runs = instance.get_runs(dg.RunsFilter(tags={"mlops_dagster/run_key": key}), limit=1)
    return runs[0] if runs else None


def worth_a_retry(bench: Workbench, model: ModelIdentity, run: dg.DagsterRun) -> bool:
    """Tell whether a run failed for another cause than a refusal, which would only be repeated."""
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return False
    for noun in ("validated_data", "evaluation", "registered_model", "deployment"):
        record = bench.records.of_run(model.name, model.segment, noun, run.run_id, NOUNS[noun])
        if record and record.outcome is Outcome.REFUSED:
            return False
    return True
