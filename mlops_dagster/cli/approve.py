"""`mlops-dagster approve MODEL --version N --why TEXT`: a person lets a version serve."""

import getpass
from pathlib import Path

import click

from mlops_dagster.cli.location import WORKSPACE, find_model, open_bench
from mlops_dagster.cli.model_argument import MODEL


@click.command("approve")
@MODEL
@click.option("--version", required=True, help="The registered version that waits.")
@click.option("--why", required=True, help="The reason, kept in the ledger.")
@click.option("--who", default=getpass.getuser, show_default="the user of this machine")
@WORKSPACE
def command(*, model: str, version: str, why: str, who: str, workspace: Path) -> None:
    """Approve a version of MODEL that waits; one that its gates refused cannot be approved."""
    from mlops_dagster.deploy.approval import approve
    from mlops_dagster.deploy.moves import champion_of

    identity, bench = find_model(workspace, model).identity, open_bench()
    if champion_of(bench, identity) == version:
        click.echo(f"{model}: version {version} serves already; there is nothing to approve.")
        return
    approve(bench, identity, version, who=who, why=why)
    click.echo(
        f"{model}: version {version} is approved by {who}. The approval sensor lets it serve, or now: "
        f"mlops-dagster run {model} --job deploy"
    )
