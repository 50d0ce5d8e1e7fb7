"""Two sensors: one looks at findings and tells people, one is called for each run that failed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import MlopsError
from mlops_dagster.notify.failed_runs import FailedRun
from mlops_dagster.notify.run import Told, deliver, watch
from mlops_dagster.records import NOUNS, Outcome
from mlops_dagster.resources import MODEL, SEGMENT, WorkbenchResource, status_of
from mlops_dagster.workbench import Workbench

FAILED = "failed_run:"


def build_notify_sensor(
    told: Sequence[Told], *, name: str, running: bool, interval: timedelta
) -> dg.SensorDefinition:
    """Watch the findings of models, and tell people what is wrong and what is over."""

    @dg.sensor(
        name=name,
        minimum_interval_seconds=int(interval.total_seconds()),
        description="Sees what is wrong or over, and tells people once. Asks for no run.",
        default_status=status_of(running=running),
    )
    def notify(
        context: dg.SensorEvaluationContext, mlops_dagster: WorkbenchResource
    ) -> dg.SkipReason:
        bench = mlops_dagster.open()
        said = []
        for one in told:
            try:
                close_ended_failures(context.instance, bench, one.model)
                watch(bench, one)
                said += deliver(bench, one)
            except MlopsError as error:
                # One model that cannot be looked at must not silence the others.
                context.log.exception("%s could not be looked at", one.model.address)
                said.append(f"{one.model.address}: {error}")
        return dg.SkipReason(" ".join(said) or "Everything that is wrong was told.")

    return notify


def build_failure_sensor(
    told: Sequence[Told], *, name: str, jobs: Sequence[Any], running: bool
) -> dg.SensorDefinition:
    """Tell people of each run that failed, once until the job succeeds again."""
    models = {(one.model.name, one.model.segment): one for one in told}

    @dg.run_failure_sensor(
        name=name,
        monitored_jobs=list(jobs),
        description="Tells people where a run failed, why, what serves, and whether to retry.",
        default_status=status_of(running=running),
    )
    def failures(context: dg.RunFailureSensorContext, mlops_dagster: WorkbenchResource) -> None:
        run = context.dagster_run
        one = models.get((run.tags.get(MODEL, ""), run.tags.get(SEGMENT, "")))
        if one is None or "failed_run" not in one.spec.signals:
            return
        bench = mlops_dagster.open()
        failed = failed_run(context, bench, one.model)
        bench.operations.incidents.open(
            one.model.name,
            one.model.segment,
            f"{FAILED}{run.job_name}",
            because=failed.sentence(),
            at=bench.clock.now(),
        )
        for problem in deliver(bench, one):
            context.log.warning(problem)

    return failures


def failed_run(
    context: dg.RunFailureSensorContext, bench: Workbench, model: ModelIdentity
) -> FailedRun:
    """Read what a run stopped at."""
    steps = context.get_step_failure_events()
    run = context.dagster_run
    if not steps:
        cause = str(context.failure_event.message)
        return FailedRun(run_id=run.run_id, stage="its start", cause=cause, kind="", refused=False)
    first = steps[0]
    data = first.step_failure_data
    error = data.error.cause or data.error if data.error else None
    said = data.user_failure_data.description if data.user_failure_data else None
    return FailedRun(
        run_id=run.run_id,
        stage=str(first.step_key).rpartition("__")[2],
        cause=said or (error.message.strip() if error else "unknown"),
        kind=str(error.cls_name) if error else "",
        refused=was_refused(bench, model, run.run_id),
    )


def was_refused(bench: Workbench, model: ModelIdentity, run_id: str) -> bool:
    """Tell whether a rule refused what a run made."""
    made = (
        bench.records.of_run(model.name, model.segment, noun, run_id, kind)
        for noun, kind in NOUNS.items()
    )
    return any(record is not None and record.outcome is Outcome.REFUSED for record in made)


def close_ended_failures(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity
) -> None:
    """Close the incident of a job whose newest run succeeded."""
    store = bench.operations.incidents
    for incident in store.all(model.name, model.segment):
        if incident.closed_at is not None or not incident.kind.startswith(FAILED):
            continue
        job = incident.kind.removeprefix(FAILED)
        tags = {MODEL: model.name, SEGMENT: model.segment}
        newest = instance.get_runs(dg.RunsFilter(job_name=job, tags=tags), limit=1)
        if newest and newest[0].status is dg.DagsterRunStatus.SUCCESS:
            because = f"Run {newest[0].run_id[:8]} of {job} succeeded."
            store.close(
                model.name, model.segment, incident.kind, because=because, at=bench.clock.now()
            )
