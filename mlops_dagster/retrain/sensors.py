"""Two sensors: one looks at the source and at ages, one at findings. They decide; assets compute.

Both serve any number of models. A tick can be repeated safely: a decision is written under a lock
before its run is requested, and one whose run never started is requested again under the same key.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import dagster as dg

from mlops_dagster.asked_runs import (
    RUN_KEY,
    attempt_due,
    attempt_key,
    last_attempt,
    next_attempt,
)
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import MlopsError
from mlops_dagster.records import Decision
from mlops_dagster.resources import MODEL, SEGMENT, WorkbenchResource, status_of
from mlops_dagster.retrain.arrivals import decide_update, source_failed
from mlops_dagster.retrain.open_runs import asked_by_others, open_run, took_in
from mlops_dagster.retrain.policy import decide
from mlops_dagster.retrain.situation import read_arrival, read_situation
from mlops_dagster.retrain.spec import RetrainSpec
from mlops_dagster.workbench import Workbench

Jobs = Sequence[Any]  # what define_asset_job returns has no public name


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One model as the sensors see it. `source_state` is cheap and changes with new data."""

    model: ModelIdentity
    policy: RetrainSpec
    max_age: timedelta | None
    source_state: Callable[[], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One evaluation of one sensor for one model."""

    sensor: str
    instance: dg.DagsterInstance
    bench: Workbench
    watched: Watched
    log: logging.Logger


def build_freshness_sensor(
    watched: Sequence[Watched], *, name: str, jobs: Jobs, running: bool, interval: timedelta
) -> dg.SensorDefinition:
    """Watch the sources, and the ages of data and model."""
    decorate = dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=int(interval.total_seconds()),
        description=(
            "Sees new data at the source, and data or a model past its age; asks for a run, once."
        ),
        default_status=status_of(running=running),
    )
    return decorate(evaluation_of(watched, name=name, look=look_at_ages))


def build_drift_sensor(
    watched: Sequence[Watched], *, name: str, jobs: Jobs, running: bool, interval: timedelta
) -> dg.SensorDefinition:
    """Watch the findings of drift and failed checks."""
    decorate = dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=int(interval.total_seconds()),
        description="Sees new drift findings and failed checks; asks for a retrain by the policy.",
        default_status=status_of(running=running),
    )
    return decorate(evaluation_of(watched, name=name, look=look_at_findings))


def evaluation_of(
    watched: Sequence[Watched], *, name: str, look: Callable[[Tick], Decision]
) -> Callable[[dg.SensorEvaluationContext, WorkbenchResource], dg.SensorResult]:
    """Make the function that Dagster calls at each tick; its argument is named after the resource."""

    def evaluate(
        context: dg.SensorEvaluationContext, mlops_dagster: WorkbenchResource
    ) -> dg.SensorResult:
        bench = mlops_dagster.open()
        requests: list[dg.RunRequest] = []
        said: list[str] = []
        for one in watched:
            tick = Tick(
                sensor=name, instance=context.instance, bench=bench, watched=one, log=context.log
            )
            try:
                decision = repeat_unstarted(tick) or settle(tick, look)
            except MlopsError as error:
                # One model that cannot be judged must not silence the others.
                context.log.exception("%s could not be judged", one.model.address)
                said.append(f"{one.model.address}: could not be judged: {error}")
                continue
            said.append(f"{one.model.address}: {decision.because}")
            if decision.action != "none":
                requests.append(request_of(one.model, decision))
        reason = None if requests else dg.SkipReason(" ".join(said))
        return dg.SensorResult(run_requests=requests, skip_reason=reason)

    return evaluate


def look_at_ages(tick: Tick) -> Decision:
    """Decide on an update first; when there is nothing to take in, on a retrain."""
    decision = look_at_source(tick)
    if decision.action == "update":
        return decision
    policy = tick.watched.policy
    aged = [one for one in policy.triggers if one in ("new_data", "stale_model")]
    retrain = look_with(tick, policy.model_copy(update={"triggers": tuple(aged)}))
    if retrain.action != "none":
        return retrain
    return replace(retrain, because=f"{decision.because} {retrain.because}")


def look_at_source(tick: Tick) -> Decision:
    """Decide on an update; a source that cannot be asked is a no that says so."""
    model = tick.watched.model
    try:
        state = tick.watched.source_state()
    except Exception as error:
        # The user's code may raise anything, and must not silence the other models.
        tick.log.warning("%s: its source failed", model.address, exc_info=error)
        return source_failed(model, error, at=tick.bench.clock.now())
    arrival = read_arrival(
        tick.bench,
        model,
        state=state,
        max_age=tick.watched.max_age,
        open_run=busy(tick),
        sensor=tick.sensor,
        took_in=lambda decision: was_taken_in(tick, decision),
        succeeded=lambda run_id: has_succeeded(tick.instance, run_id),
    )
    return decide_update(model, arrival)


def was_taken_in(tick: Tick, decision: Decision) -> bool:
    """Tell whether a run that was asked for saw the source's rows to their end."""
    attempt = last_attempt(tick.instance, decision.run_key)
    return took_in(tick.bench, tick.watched.model, attempt.run)


def has_succeeded(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Tell whether a run, whoever started it, reached its end."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status is dg.DagsterRunStatus.SUCCESS


def look_at_findings(tick: Tick) -> Decision:
    """Decide on a retrain from drift, labelled loss and failed checks."""
    policy = tick.watched.policy
    found = [one for one in policy.triggers if one in ("drift", "performance", "failed_check")]
    return look_with(tick, policy.model_copy(update={"triggers": tuple(found)}))


def look_with(tick: Tick, policy: RetrainSpec) -> Decision:
    """Decide on a retrain with those triggers that this sensor watches."""
    model = tick.watched.model
    situation = read_situation(tick.bench, model, policy, open_run=busy(tick))
    return decide(model, policy, situation)


def busy(tick: Tick) -> str | None:
    """Name the run that is open, or the request of another sensor that has not started."""
    model = tick.watched.model
    return open_run(tick.instance, tick.bench, model) or asked_by_others(
        tick.instance, tick.bench, model, sensor=tick.sensor
    )


def settle(tick: Tick, look: Callable[[Tick], Decision]) -> Decision:
    """Decide and write the decision as one, so that two sensors cannot both say yes."""
    with deciding(tick):
        decision = look(tick)
        signed = replace(decision, evidence={**decision.evidence, "by": tick.sensor})
        tick.bench.operations.add_decision(signed)
    return signed


@contextmanager
def deciding(tick: Tick) -> Iterator[None]:
    """Be the only one who decides for this model."""
    name = f"lock:{tick.watched.model.address}/decide"
    with tick.bench.operations.hold(name, holder=tick.sensor, wait=timedelta(seconds=20)):
        yield


def repeat_unstarted(tick: Tick) -> Decision | None:
    """Ask again for this sensor's last run if it never started, was killed, or failed by no rule."""
    model = tick.watched.model
    for action in ("update", "retrain"):
        last = tick.bench.operations.decisions(model.name, model.segment, action=action, limit=1)
        mine = [one for one in last if one.evidence.get("by") == tick.sensor]
        if mine and (again := again_of(tick, mine[0])):
            return again
    return None


def again_of(tick: Tick, decision: Decision) -> Decision | None:
    """Give the decision with the key of its next attempt, if another attempt is due."""
    model, bench = tick.watched.model, tick.bench
    number = next_attempt(tick.instance, bench, model, decision.run_key)
    if number is None or number == 1:
        return decision if number else None
    due = attempt_due(decision.at, number)
    if due is None or bench.clock.now() < due or open_run(tick.instance, bench, model):
        return None
    return replace(decision, run_key=attempt_key(decision.run_key, number))


def request_of(model: ModelIdentity, decision: Decision) -> dg.RunRequest:
    """Turn a yes into the request of one job, with the reason where a person will look for it."""
    return dg.RunRequest(
        run_key=decision.run_key,
        job_name=model.job(decision.action),
        tags={
            MODEL: model.name,
            SEGMENT: model.segment,
            RUN_KEY: decision.run_key,
            "mlops_dagster/reason": decision.reason,
            "mlops_dagster/because": decision.because[:240],
        },
    )
