"""`mlops-dagster why MODEL`: the last decisions as sentences."""

import click

from mlops_dagster.cli.model_argument import MODEL, split_name
from mlops_dagster.cli.traces import bench_of


@click.command("why")
@MODEL
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
def command(*, model: str, limit: int) -> None:
    """Tell the last decisions about MODEL, newest first, each with its reason; a no has one too."""
    name, segment = split_name(model)
    decisions = bench_of(model).operations.decisions(name, segment, limit=limit)
    if not decisions:
        click.echo(
            f"{model}: no decision was needed yet. The sensors decide; `mlops-dagster dev` turns them on."
        )
    for one in decisions:
        said = "no" if one.action == "none" else one.action
        click.echo(f"{one.at:%Y-%m-%d %H:%M}  {said:<8} {one.reason}: {one.because}")
