"""Which run of a model is open, and what became of those that were asked for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import NOUNS, Decision, Outcome
from mlops_dagster.resources import MODEL, SEGMENT
from mlops_dagster.workbench import Workbench

_WAITING = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
]
_AT_WORK = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# Between two steps no lease is held, and a process may take long to start.
_SILENCE = timedelta(minutes=10)
RUN_KEY = "mlops_dagster/run_key"
_QUICK = 3
_LONGEST_PAUSE_H = 24
_MOST = 200


def open_run(instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity) -> str | None:
    """Name a run of the model that waits, or works; one that was killed is not open.

    A run that somebody started by hand, of a few assets, has the model's lease but not its tags.
    """
    lease = f"run:{model.address}:"
    if leased := bench.operations.held(lease):
        return f"run {leased[0].removeprefix(lease)[:8]}"
    tags = {MODEL: model.name, SEGMENT: model.segment}
    runs = instance.get_runs(dg.RunsFilter(tags=tags, statuses=[*_WAITING, *_AT_WORK]))
    alive = [run for run in runs if not is_dead(instance, bench, model, run)]
    return f"run {alive[0].run_id[:8]}" if alive else None


def is_dead(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, run: dg.DagsterRun
) -> bool:
    """Tell whether a run that should be at work renews no lease and has said nothing for a while."""
    if run.status not in _AT_WORK or bench.operations.held(f"run:{model.address}:{run.run_id}"):
        return False
    said = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return bool(said) and wall_now() - datetime.fromtimestamp(said[0].timestamp, UTC) > _SILENCE


def asked_by_others(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, *, sensor: str
) -> str | None:
    """Name another sensor's request that has no run yet."""
    for action in ("update", "retrain"):
        last = bench.operations.decisions(model.name, model.segment, action=action, limit=1)
        for one in last:
            asked = str(one.evidence.get("by", ""))
            if asked and asked != sensor and last_attempt(instance, one).run is None:
                return f"the run asked by {asked}"
    return None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last run that was made for a decision, and which one it is; there is none at number 0."""

    number: int
    run: dg.DagsterRun | None


def last_attempt(instance: dg.DagsterInstance, decision: Decision) -> Attempt:
    """Find the newest of the runs that were requested for a decision."""
    keys = [attempt_key(decision, number) for number in range(1, _MOST + 1)]
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY: keys}), limit=1)
    if not runs:
        return Attempt(0, None)
    return Attempt(keys.index(runs[0].tags[RUN_KEY]) + 1, runs[0])


def attempt_key(decision: Decision, number: int) -> str:
    """Name the run of one attempt; asking twice for the same name makes one run."""
    return decision.run_key if number == 1 else f"{decision.run_key}:attempt:{number}"


def attempt_due(decision: Decision, number: int) -> datetime | None:
    """Tell when an attempt may be asked for: three at once, then after 1, 2, 4 ... 24 hours.

    None after two hundred attempts, more than half a year.
    """
    pauses = [min(2**late, _LONGEST_PAUSE_H) for late in range(number - _QUICK)]
    return None if number > _MOST else decision.at + timedelta(hours=sum(pauses))


def took_in(bench: Workbench, model: ModelIdentity, run: dg.DagsterRun | None) -> bool:
    """Tell whether a run reached its end, or the data was refused: either way it was seen."""
    if run is None:
        return False
    return run.status is dg.DagsterRunStatus.SUCCESS or was_refused(bench, model, run)


def worth_a_retry(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, run: dg.DagsterRun
) -> bool:
    """Tell whether a run failed or was killed, but not by a refusal, which would only be repeated."""
    ended = run.status in _FAILED or is_dead(instance, bench, model, run)
    return ended and not was_refused(bench, model, run)


def was_refused(bench: Workbench, model: ModelIdentity, run: dg.DagsterRun) -> bool:
    """Tell whether a rule refused the data or the candidate of a run."""
    for noun in ("validated_data", "evaluation", "registered_model", "deployment"):
        record = bench.records.of_run(model.name, model.segment, noun, run.run_id, NOUNS[noun])
        if record and record.outcome is Outcome.REFUSED:
            return True
    return False
