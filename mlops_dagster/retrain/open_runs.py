"""Which run of a model is open, and what became of those that were asked for."""

import dagster as dg

from mlops_dagster.asked_runs import AT_WORK, is_dead, last_attempt, was_refused
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.resources import MODEL, SEGMENT
from mlops_dagster.workbench import Workbench

_WAITING = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
]


def open_run(instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity) -> str | None:
    """Name a run of the model that waits, or works; one that was killed is not open.

    A run that somebody started by hand, of a few assets, has the model's lease but not its tags.
    """
    lease = f"run:{model.address}:"
    if leased := bench.operations.held(lease):
        return f"run {leased[0].removeprefix(lease)[:8]}"
    tags = {MODEL: model.name, SEGMENT: model.segment}
    runs = instance.get_runs(dg.RunsFilter(tags=tags, statuses=[*_WAITING, *AT_WORK]))
    alive = [run for run in runs if not is_dead(instance, bench, model, run)]
    return f"run {alive[0].run_id[:8]}" if alive else None


def asked_by_others(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, *, sensor: str
) -> str | None:
    """Name another sensor's request that has no run yet."""
    for action in ("update", "retrain"):
        last = bench.operations.decisions(model.name, model.segment, action=action, limit=1)
        for one in last:
            asked = str(one.evidence.get("by", ""))
            if asked and asked != sensor and last_attempt(instance, one.run_key).run is None:
                return f"the run asked by {asked}"
    return None


def took_in(bench: Workbench, model: ModelIdentity, run: dg.DagsterRun | None) -> bool:
    """Tell whether a run reached its end, or the data was refused: either way it was seen."""
    if run is None:
        return False
    return run.status is dg.DagsterRunStatus.SUCCESS or was_refused(bench, model, run)
