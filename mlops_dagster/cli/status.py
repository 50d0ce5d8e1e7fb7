"""`mlops-dagster status MODEL`: what serves, what waits, how new the data is, what was found."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.model_argument import MODEL
from mlops_dagster.cli.progress import screen_width, wrapped
from mlops_dagster.cli.traces import bench_of

if TYPE_CHECKING:
    from mlops_dagster.cli.status_facts import Fact

MARGIN = 12


@click.command("status")
@MODEL
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def command(*, model: str, as_json: bool) -> None:
    """Say what should serve and what does, what waits, how new the data is, what was found last."""
    from mlops_dagster.cli.status_dagster import dagster_facts
    from mlops_dagster.cli.status_facts import facts
    from mlops_dagster.cli.status_watch import watch_facts

    bench = bench_of(model)
    told = [*facts(bench, model), *watch_facts(bench, model), *dagster_facts(bench, model)]
    if as_json:
        click.echo(json.dumps(for_programs(told), indent=2))
        return
    for line in lines(told, width=screen_width()):
        click.echo(line)


def for_programs(told: "Iterable[Fact]") -> dict[str, object]:
    """Gather the values by label; alarms, incidents and failed runs are lists."""
    gathered: dict[str, object] = {}
    lists: dict[str, list[object]] = {"finding": [], "incident": [], "failed_run": []}
    for one in told:
        label = one.label.replace(" ", "_")
        if label in lists:
            lists[label].append(dict(one.values))
        else:
            gathered[label] = dict(one.values)
    return gathered | lists


def lines(told: "Iterable[Fact]", *, width: int | None) -> Iterator[str]:
    """Write the facts, each with its label; on a screen a long one goes on below itself."""
    for one in told:
        text = f"{one.label:<{MARGIN}}{' '.join(one.text.split())}"
        yield from wrapped(text, width=width, margin=MARGIN).splitlines()
