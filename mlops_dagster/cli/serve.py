"""`mlops-dagster serve MODEL`: answer over HTTP with the champion."""

import click

from mlops_dagster.cli.model_argument import MODEL, split_name


@click.command("serve")
@MODEL
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--durability",
    type=click.Choice(["fsync", "os", "none"]),
    help="Overrules the declaration: what an answer's record survives before it is given.",
)
@click.option(
    "--apart",
    type=click.Path(file_okay=False),
    default="",
    help="For a rehearsal: a folder for the log. None of it reaches the table of predictions.",
)
def command(
    *, model: str, host: str, port: int, workers: int, durability: str | None, apart: str
) -> None:
    """Answer over HTTP with the champion: /predict, /invocations as MLflow, a page at /."""
    from mlops_dagster.serve.endpoint.server import Listening, serve

    name, segment = split_name(model)
    listening = Listening(
        model=name,
        segment=segment,
        host=host,
        port=port,
        workers=workers,
        durability=durability or "",
        apart=apart,
    )
    told = f"{model} at http://{host}:{port}  (stop with Ctrl-C)"
    serve(listening, ready=lambda: click.echo(told))
