"""What became of runs that a sensor asked for, and when to ask again.

A run key stays used when its run failed, so every attempt has a key of its own.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import NOUNS, Outcome
from mlops_dagster.workbench import Workbench

RUN_KEY = "mlops_dagster/run_key"
AT_WORK = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# Between two steps no lease is held, and a process may take long to start.
_SILENCE = timedelta(minutes=10)
_QUICK = 3
_LONGEST_PAUSE_H = 24
_MOST = 200


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last run that was made for a run key, and which one it is; there is none at number 0."""

    number: int
    run: dg.DagsterRun | None


def last_attempt(instance: dg.DagsterInstance, run_key: str) -> Attempt:
    """Find the newest of the runs that were requested under a key."""
    keys = [attempt_key(run_key, number) for number in range(1, _MOST + 1)]
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY: keys}), limit=1)
    if not runs:
        return Attempt(0, None)
    return Attempt(keys.index(runs[0].tags[RUN_KEY]) + 1, runs[0])


def attempt_key(run_key: str, number: int) -> str:
    """Name the run of one attempt; asking twice for the same name makes one run."""
    return run_key if number == 1 else f"{run_key}:attempt:{number}"


def attempt_due(asked: datetime, number: int) -> datetime | None:
    """Tell when an attempt may be made of what was `asked`: three at once, then after 1, 2 ... 24 hours.

    None after two hundred attempts, more than half a year.
    """
    pauses = [min(2**late, _LONGEST_PAUSE_H) for late in range(number - _QUICK)]
    return None if number > _MOST else asked + timedelta(hours=sum(pauses))


def key_to_ask(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, run_key: str
) -> str | None:
    """Give the key under which to ask for a run now; None when it is open, done, refused or not due."""
    number = next_attempt(instance, bench, model, run_key)
    if number is None or number == 1:
        return run_key if number else None
    keys = [attempt_key(run_key, one) for one in range(1, number)]
    asked = dg.RunsFilter(tags={RUN_KEY: keys})
    [oldest] = instance.get_run_records(asked, limit=1, ascending=True)
    due = attempt_due(oldest.create_timestamp, number)
    return attempt_key(run_key, number) if due and due <= wall_now() else None


def next_attempt(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, run_key: str
) -> int | None:
    """Number the attempt that is left to make under a key; None when its run is open, done or refused."""
    attempt = last_attempt(instance, run_key)
    left = attempt.run is None or worth_a_retry(instance, bench, model, attempt.run)
    return attempt.number + 1 if left else None


def worth_a_retry(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, run: dg.DagsterRun
) -> bool:
    """Tell whether a run failed or was killed, but not by a refusal, which would only be repeated."""
    ended = run.status in _FAILED or is_dead(instance, bench, model, run)
    return ended and not was_refused(bench, model, run)


def is_dead(
    instance: dg.DagsterInstance, bench: Workbench, model: ModelIdentity, run: dg.DagsterRun
) -> bool:
    """Tell whether a run that should be at work renews no lease and has said nothing for a while."""
    if run.status not in AT_WORK or bench.operations.held(f"run:{model.address}:{run.run_id}"):
        return False
    said = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return bool(said) and wall_now() - datetime.fromtimestamp(said[0].timestamp, UTC) > _SILENCE


def was_refused(bench: Workbench, model: ModelIdentity, run: dg.DagsterRun) -> bool:
    """Tell whether a rule refused the data or the candidate of a run."""
    for noun in ("validated_data", "evaluation", "registered_model", "deployment"):
        record = bench.records.of_run(model.name, model.segment, noun, run.run_id, NOUNS[noun])
        if record and record.outcome is Outcome.REFUSED:
            return True
    return False
