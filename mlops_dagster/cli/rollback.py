"""`mlops-dagster rollback MODEL --why "..."`: put back the version that served before."""

import getpass
from datetime import timedelta
from pathlib import Path

import click

from mlops_dagster.cli.location import WORKSPACE, find_model, open_bench
from mlops_dagster.cli.model_argument import MODEL


@click.command("rollback")
@MODEL
@click.option("--why", required=True, help="For whoever asks later; kept in the ledger.")
@click.option(
    "--who", default=getpass.getuser, show_default="the user of this machine", help="Who decides."
)
@click.option(
    "--within",
    default=30.0,
    show_default=True,
    help="Seconds to wait until every worker of the endpoint answers from it.",
)
@WORKSPACE
def command(*, model: str, why: str, who: str, within: float, workspace: Path) -> None:
    """Put back the version that served before, bar the one removed, and see that it answers."""
    from mlops_dagster.deploy.rollback import await_workers, roll_back

    identity, bench = find_model(workspace, model).identity, open_bench()
    move = roll_back(bench, identity, who=who, why=why)
    workers = await_workers(bench, identity, str(move.to_version), within=timedelta(seconds=within))
    click.echo(
        f"{model}: version {move.to_version} serves again; version {move.from_version} is barred."
    )
    click.echo(
        f"{len(workers)} worker(s) of the endpoint answer from it."
        if workers
        else "No endpoint runs; batch scoring uses it from now on."
    )
    click.echo("Automatic promotion is held: the next version waits for `mlops-dagster approve`.")
