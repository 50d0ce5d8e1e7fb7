"""What Dagster knows of a model: the run that is open, the sensors, and the daemon that ticks them."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mlops_dagster.cli.location import dagster_home, home
from mlops_dagster.cli.model_argument import split_name
from mlops_dagster.cli.progress import WHERE, Progress
from mlops_dagster.cli.status_facts import Fact, minute
from mlops_dagster.clock import wall_now
from mlops_dagster.records import JSON

if TYPE_CHECKING:
    import dagster as dg

    from mlops_dagster.workbench import Workbench

SILENT = timedelta(minutes=2)
"""Dagster's daemon tells of itself every 30 s; after so long it is taken for gone."""
STARTS_WITHIN = timedelta(minutes=5)
"""A run outside of the queue that has not begun for so long was killed before it could."""
RUNS = 50
"""How many of a model's newest runs are looked through for the newest of each job."""
KINDS = ("freshness", "drift", "live", "approval", "notify", "failure")


def dagster_facts(bench: "Workbench", model: str) -> list[Fact]:
    """Ask Dagster's storage, if there is one; without it nothing was ever started."""
    if not (os.environ.get("DAGSTER_HOME") or (home() / "dagster").exists()):
        return [open_run(bench, model, None), sensors(model, None)]
    import dagster as dg

    os.environ["DAGSTER_HOME"] = str(dagster_home())
    with dg.DagsterInstance.get() as instance:
        return [
            open_run(bench, model, instance),
            *failed_runs(instance, model),
            sensors(model, instance),
        ]


def was_started(model: str) -> bool:
    """Tell whether Dagster knows a run of a model: one that failed at once leaves no other trace."""
    if not (os.environ.get("DAGSTER_HOME") or (home() / "dagster").exists()):
        return False
    import dagster as dg

    os.environ["DAGSTER_HOME"] = str(dagster_home())
    with dg.DagsterInstance.get() as instance:
        return bool(instance.get_runs(runs_of(model), limit=1))


def failed_runs(instance: "dg.DagsterInstance", model: str) -> list[Fact]:
    """Tell of each job whose newest run failed: which run, when, and why."""
    import dagster as dg

    newest: dict[str, dg.RunRecord] = {}
    for record in instance.get_run_records(runs_of(model), limit=RUNS):
        newest.setdefault(record.dagster_run.job_name, record)
    failed = dg.DagsterRunStatus.FAILURE
    return [
        failed_run(instance, one) for one in newest.values() if one.dagster_run.status is failed
    ]


def failed_run(instance: "dg.DagsterInstance", record: "dg.RunRecord") -> Fact:
    """Tell why a run failed, in the words of `mlops-dagster run`."""
    import dagster as dg

    run, kinds = record.dagster_run, dg.DagsterEventType
    told = {kinds.STEP_FAILURE, kinds.ASSET_CHECK_EVALUATION}
    progress, because = Progress(show=bool), "it ended before its first step did."
    for entry in instance.all_logs(run.run_id, of_type=told):
        progress.on_event(entry)
        if entry.dagster_event and entry.dagster_event.is_step_failure:
            because = progress.why_failed().removesuffix(WHERE)
    ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else None
    when = f", {minute(ended)}" if ended else ""
    return Fact(
        label="failed run",
        text=f"run {run.run_id[:8]} of {run.job_name}{when}: {because}",
        values={"run": run.run_id, "job": run.job_name, "because": because},
    )


def runs_of(model: str) -> "dg.RunsFilter":
    """Choose a model's runs."""
    import dagster as dg

    from mlops_dagster.resources import MODEL, SEGMENT

    name, segment = split_name(model)
    return dg.RunsFilter(tags={MODEL: name, SEGMENT: segment})


def open_run(bench: "Workbench", model: str, instance: "dg.DagsterInstance | None") -> Fact:
    """Name the run that works: it holds a lease. Without one, the run that waits to start."""
    name, segment = split_name(model)
    lease = f"run:{name}/{segment}:"
    working = [one.removeprefix(lease) for one in bench.operations.held(lease)]
    waiting = [] if working or instance is None else queued(instance, name, segment)
    texts = [f"run {one[:8]} works" for one in working]
    texts += [f"run {one[:8]} waits to start" for one in waiting]
    values: dict[str, JSON] = {"working": [*working], "waiting": [*waiting]}
    return Fact(label="open run", text=", ".join(texts) or "none", values=values)


def queued(instance: "dg.DagsterInstance", name: str, segment: str) -> list[str]:
    """List a model's runs that were asked for and do not work yet; one that was killed first never will."""
    import dagster as dg

    from mlops_dagster.resources import MODEL, SEGMENT

    status = dg.DagsterRunStatus
    waiting = [status.NOT_STARTED, status.QUEUED, status.STARTING]
    only = dg.RunsFilter(tags={MODEL: name, SEGMENT: segment}, statuses=waiting)
    since = wall_now() - STARTS_WITHIN
    return [
        one.dagster_run.run_id
        for one in instance.get_run_records(only)
        if one.dagster_run.status is status.QUEUED or one.create_timestamp > since
    ]


def sensors(model: str, instance: "dg.DagsterInstance | None") -> Fact:
    """Say which sensors are on, and whether a daemon is there to tick them."""
    states = sensor_states(model, instance)
    if instance is None or not states:
        text = f"never turned on; `mlops-dagster dev` does, and asks for runs of {model} by itself"
        return Fact(label="sensors", text=text, values={"sensors": {}, "daemon_seen_at": None})
    seen = daemon_seen(instance)
    told = ", ".join(f"{name} {'on' if on else 'off'}" for name, on in states.items())
    return Fact(
        label="sensors",
        text=told + daemon_text(seen, on=any(states.values())),
        values={"sensors": {**states}, "daemon_seen_at": seen.isoformat() if seen else None},
    )


def sensor_states(model: str, instance: "dg.DagsterInstance | None") -> dict[str, bool]:
    """Tell the model's own sensors on from off; a location may have one pair for all its models."""
    if instance is None:
        return {}
    name, segment = split_name(model)
    prefix = name if segment == "all" else f"{name}__{segment}"
    known = {
        one.instigator_name: one.is_running
        for one in instance.all_instigator_state()
        if one.instigator_name.endswith("_sensor")
    }
    own = {kind: known[full] for kind in KINDS if (full := f"{prefix}_{kind}_sensor") in known}
    return own or shared(known)


def shared(known: dict[str, bool]) -> dict[str, bool]:
    """Choose the sensors that look at more than one model."""
    return {name: on for name, on in sorted(known.items()) if name.split("_")[-2] in KINDS}


def daemon_seen(instance: "dg.DagsterInstance") -> datetime | None:
    """Tell when the daemon that ticks sensors told of itself last."""
    beats: Sequence[float] = [
        one.timestamp for name, one in instance.get_daemon_heartbeats().items() if name == "SENSOR"
    ]
    return datetime.fromtimestamp(max(beats), UTC) if beats else None


def daemon_text(seen: datetime | None, *, on: bool) -> str:
    """Say that no daemon ticks the sensors that are on."""
    from mlops_dagster.clock import wall_now

    if not on or (seen and wall_now() - seen <= SILENT):
        return ""
    since = f"is silent since {minute(seen)}" if seen else "never ran"
    return f"; but Dagster's daemon {since}, so nothing ticks them: mlops-dagster dev"
