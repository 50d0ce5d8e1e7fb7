"""`mlops-dagster run MODEL`: one job, here and now, with a line for each step."""

import gc
import logging
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.location import (
    WORKSPACE,
    dagster_home,
    declared_model,
    load_locations,
    open_bench,
)
from mlops_dagster.errors import SpecError

if TYPE_CHECKING:
    import dagster as dg

    from mlops_dagster.cli.location import Location

JOBS = ("lifecycle", "update", "retrain", "deploy", "score", "monitor")


@click.command("run")
@click.argument("model")
@click.option("--job", type=click.Choice(JOBS), default="lifecycle", show_default=True)
@click.option("--verbose", is_flag=True, help="Show Dagster's own log too.")
@WORKSPACE
def command(*, model: str, job: str, verbose: bool, workspace: Path) -> None:
    """Run one of MODEL's jobs in this process; MODEL is `name` or `name/segment`."""
    if not verbose:
        quiet()
    # A sixth of a short run's CPU went into sifting loaded libraries for garbage.
    gc.set_threshold(400_000, 50, 100)
    # Sensors and other processes must see the runs that are made here.
    os.environ["DAGSTER_HOME"] = str(dagster_home())
    locations = load_locations(workspace)
    spec = declared_model(model)
    for lost in spec.losses:
        click.echo(f"{model}: {lost}", err=True)
    found = find_job(locations, spec.identity.job(job))
    gc.freeze()
    if not run_job(found, verbose=verbose):
        raise click.exceptions.Exit(1)


def find_job(locations: "list[Location]", name: str) -> "dg.JobDefinition":
    """Find a job in the workspace."""
    for one in locations:
        if any(getattr(job, "name", None) == name for job in one.definitions.jobs or ()):
            return one.definitions.resolve_job_def(name)
    message = f"No code location has the job {name!r}: {[one.name for one in locations]}."
    raise SpecError(message)


def run_job(job: "dg.JobDefinition", *, verbose: bool = False) -> bool:
    """Run a job on the persistent instance, telling each step as it ends."""
    from mlops_dagster.cli.progress import Progress

    run_id = str(uuid.uuid4())
    progress = Progress(show=click.echo)
    with open_instance(run_id) as instance:
        instance.add_event_listener(run_id, progress.on_event)
        click.echo(f"{job.name}  run {run_id[:8]}")
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            raise_on_error=False,
            run_config={} if verbose else silent(job),
        )
    click.echo(progress.closing(success=result.success))
    if not result.success:
        click.echo(f"Error: {progress.why_failed()}", err=True)
    return bool(result.success)


def open_instance(run_id: str) -> "dg.DagsterInstance":
    """Open the persistent instance, one process at a time: two that make its files at once fail."""
    import dagster as dg

    with open_bench().operations.hold("lock:dagster_home", holder=run_id):
        return dg.DagsterInstance.get()


def silent(job: "dg.JobDefinition") -> dict[str, object]:
    """Turn Dagster's debug log off, unless the location has loggers of its own."""
    if set(job.loggers) - {"console", "colored_console"}:
        return {}
    return {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def quiet() -> None:
    """Keep libraries from talking between our lines."""
    for name in ("alembic", "mlflow", "great_expectations", "dagster"):
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")
