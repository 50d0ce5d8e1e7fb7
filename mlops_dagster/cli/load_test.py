"""`mlops-dagster load-test MODEL`: what this machine answers, as a table and a picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from pydantic import TypeAdapter, ValidationError

from mlops_dagster.cli.model_argument import MODEL, split_name
from mlops_dagster.declaration import Duration, write_duration

if TYPE_CHECKING:
    from mlops_dagster.serve.load_test.run import Asking
    from mlops_dagster.workbench import Workbench


def read_budget(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """Read a length of time with its unit: `10s`."""
    try:
        return TypeAdapter(Duration | None).validate_python(value)
    except ValidationError as error:
        message = f"{value!r} is no length of time such as 10s or 2m."
        raise click.BadParameter(message, ctx, param) from error


@click.command("load-test")
@MODEL
@click.option("--url", help="An endpoint that runs already. Its answers are kept as any others.")
@click.option("--token-from", default="", help="Variable that holds the endpoint's bearer token.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of each measurement.")
@click.option(
    "--within",
    default=1.0,
    show_default=True,
    help="Seconds within which the largest batch must be answered.",
)
@click.option(
    "--cold-start-budget",
    callback=read_budget,
    help="Exit with 1 when the endpoint needs longer from its start to its first answer.",
)
def command(
    *,
    model: str,
    url: str | None,
    token_from: str,
    seconds: float,
    within: float,
    cold_start_budget: timedelta | None,
) -> None:
    """Start the endpoint, ask it more and more, and say what it answers in a second."""
    from mlops_dagster.serve.load_test import report, run
    from mlops_dagster.workbench import workbench_from_environment

    if url and cold_start_budget:
        message = "--cold-start-budget needs an endpoint that is started here; leave --url out."
        raise click.UsageError(message)
    bench = workbench_from_environment()
    with endpoint(model, bench, url=url, token_from=token_from) as (asking, cold_start_s):
        click.echo(report.HEADER)
        found = run.measure(
            asking,
            seconds=seconds,
            within_s=within,
            cold_start_s=cold_start_s,
            tell=lambda level: click.echo(report.line(level)),
        )
    for text in report.closing(found):
        click.echo(text)
    folder = bench.home.joinpath("load_test", *split_name(model))
    for path in report.keep(found, folder):
        click.echo(path)
    refuse_a_slow_start(model, cold_start_s, cold_start_budget)


@contextmanager
def endpoint(
    model: str, bench: "Workbench", *, url: str | None, token_from: str
) -> "Iterator[tuple[Asking, float | None]]":
    """Find the endpoint at a URL, or start one; give it, and the seconds that its start took."""
    from mlops_dagster.errors import StoreError
    from mlops_dagster.serve.load_test.run import Asking, own_endpoint

    if url is None:
        with own_endpoint(model, home=bench.home, token_from=token_from) as started:
            asking = Asking.learn(started.url, token_from=token_from)
            assert asking is not None  # noqa: S101 - it has answered
            yield asking, started.cold_start_s
        return
    asking = Asking.learn(url.rstrip("/"), token_from=token_from)
    if asking is None:
        message = f"load-test: nobody answers at {url}. Start it: mlops-dagster serve {model}"
        raise StoreError(message)
    yield asking, None


def refuse_a_slow_start(model: str, took_s: float | None, budget: timedelta | None) -> None:
    """End with 1 when the start took longer than it may."""
    if took_s is not None and budget is not None and took_s > budget.total_seconds():
        message = (
            f"{model}: the cold start took {took_s:.1f} s; the budget is {write_duration(budget)}."
        )
        raise click.ClickException(message)
