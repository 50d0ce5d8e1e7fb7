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
    help="Seconds to wait until the endpoint answers from it.",
)
@WORKSPACE
def command(*, model: str, why: str, who: str, within: float, workspace: Path) -> None:
    """Put back the version that served before, bar the one removed, and see that it answers."""
    from mlops_dagster.deploy.rollback import roll_back
    from mlops_dagster.deploy.targets import target_of

    spec, bench = find_model(workspace, model), open_bench()
    target = target_of(bench, spec.identity, spec.deploy)
    move = roll_back(bench, spec.identity, who=who, why=why)
    version = bench.registry.version(move.registered_name, str(move.to_version))
    followed = target.follow(version, within=timedelta(seconds=within))
    removed = f"version {move.from_version} is barred" if move.from_version else "nothing served"
    click.echo(f"{model}: version {move.to_version} serves again; {removed}.")
    click.echo(followed)
    click.echo("Automatic promotion is held: the next version waits for `mlops-dagster approve`.")
