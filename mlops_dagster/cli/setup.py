"""`mlops-dagster setup`: prepares stores that are not ours, which a run never does."""

import os

import click

from mlops_dagster.cli.location import dagster_home, open_bench
from mlops_dagster.errors import redact


@click.command("setup")
def command() -> None:
    """Create what the named stores need; a run never creates or changes a store that is not embedded.

    MLOPS_OPERATIONS_URL, MLOPS_LAKE and MLFLOW_TRACKING_URI name them.
    """
    bench = open_bench()
    embedded = bench.home / "operations.db"
    if bench.operations_url or embedded.exists():
        from mlops_dagster.stores.database import sqlite_url
        from mlops_dagster.stores.sql_operations import SqlOperations

        SqlOperations.create_schema(bench.operations_url or sqlite_url(embedded))
        click.echo("operations  ready: the tables are there")
    else:
        click.echo(f"operations  embedded in {bench.home}: made by the first run")
    click.echo(f"lake        {redact(bench.lake_root)}: made by its first write")
    mlflow = "migrated by its own server" if os.environ.get("MLFLOW_TRACKING_URI") else "embedded"
    click.echo(f"mlflow      {mlflow}")
    click.echo(f"dagster     {dagster_home()}")
