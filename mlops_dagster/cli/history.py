"""`mlops-dagster history MODEL`: every change of what serves."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.model_argument import MODEL, split_name
from mlops_dagster.cli.progress import AFTER_TIME, screen_width, wrapped
from mlops_dagster.cli.status_facts import by
from mlops_dagster.cli.traces import bench_of
from mlops_dagster.errors import SpecError

if TYPE_CHECKING:
    from mlops_dagster.records import Move


@click.command("history")
@MODEL
@click.option("--at", metavar="TIME", help="Which version served then: ISO 8601, UTC by default.")
@click.option("--json", "as_json", is_flag=True, help="For programs: a list, oldest first.")
def command(*, model: str, at: str | None, as_json: bool) -> None:
    """List every change of what serves: who, what, why, from, to, when."""
    asked = instant(at) if at else None
    operations = bench_of(model).operations
    name, segment = split_name(model)
    found = operations.champion_at(name, segment, instant=asked) if asked else None
    moves = ([found] if found else []) if at else operations.moves(name, segment)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in moves], indent=2, default=str))
        return
    if at:
        click.echo(served_at(model, at, found))
        return
    if not moves:
        click.echo(f"{model}: nothing was ever put live.")
    for one in moves:
        click.echo(wrapped(move_line(one), width=screen_width(), margin=AFTER_TIME))


def instant(text: str) -> datetime:
    """Read a time. Raises: SpecError when it is none."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        message = (
            f"--at: {text!r} is no ISO 8601 time such as 2013-07-01 or 2013-07-01T12:00+02:00."
        )
        raise SpecError(message) from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def served_at(model: str, at: str, move: "Move | None") -> str:
    """Say what served at a time."""
    if move is None or move.to_version is None:
        return f"{model}: no version served at {at}."
    return (
        f"{model}: version {move.to_version} served at {at}, "
        f"put there {move.at:%Y-%m-%d %H:%M} by {by(move.who)}: {move.why}"
    )


def move_line(move: "Move") -> str:
    """Write one change as a line."""
    step = f"{move.from_version or '-'} -> {move.to_version or '-'}"
    state = "" if move.state == "done" else f" ({move.state})"
    return f"{move.at:%Y-%m-%d %H:%M}  {step:<10} {move.kind}{state} by {by(move.who)}: {move.why}"
