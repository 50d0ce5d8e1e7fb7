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
    """Let VERSION of MODEL serve; refused when the champion that it was judged against has changed."""
    from mlops_dagster.deploy.approval import approve

    identity = find_model(workspace, model).identity
    told = approve(open_bench(), identity, version, who=who, why=why)
    click.echo(f"{model}: version {version} serves now, approved by {who}: {told}")
