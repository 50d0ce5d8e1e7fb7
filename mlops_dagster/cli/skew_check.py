"""`mlops-dagster skew-check MODEL`: served features against the lake's, by prediction id."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.calibrate import length
from mlops_dagster.cli.location import WORKSPACE, find_model, open_bench
from mlops_dagster.declaration import write_duration
from mlops_dagster.errors import SpecError

if TYPE_CHECKING:
    from mlops_dagster.monitor.served import Lake
    from mlops_dagster.monitor.skew import FeatureSkew, Skew
    from mlops_dagster.spec import LifecycleSpec
    from mlops_dagster.workbench import Workbench

NUMBERS = (
    "Null equals null; numbers are equal within 1e-12 of their size, all else must be the same."
)
_WIDTHS = (9, 9, 9, 14)


@click.command("skew-check")
@click.argument("model")
@click.option("--since", help="Answers given from this time on (ISO 8601, UTC without a zone).")
@click.option("--window", help="Answers of the last so long, by the clock: 12h, 7d.")
@click.option(
    "--newest",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Most answers, newest first.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Rows shown of a feature, the farthest apart first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@WORKSPACE
def command(
    *,
    model: str,
    since: str | None,
    window: str | None,
    newest: int,
    examples: int,
    as_json: bool,
    workspace: Path,
) -> None:
    """Compare what MODEL's live answers were given with the lake, row by row; exit 1 when any differs.

    A version's own feature code makes both sides: of the inputs in the log, and of the accepted row of
    the same key, with second tables as they were known at the row's own time.
    """
    from mlops_dagster.monitor.skew_check import check_skew

    spec = find_model(workspace, model)
    bench = open_bench()
    after = first_instant(bench, since, window)
    skew = check_skew(lake_of(bench, spec), newest=newest, since=after, examples=examples)
    if skew is None:
        message = f"{model}: no live answers{f' since {after:%F %T}' if after else ''}. {waiting(bench, spec)}"
        raise SpecError(message)
    click.echo(json.dumps(as_plain(model, skew), indent=2) if as_json else write(model, skew))
    if not as_json and (left := waiting(bench, spec)):
        click.echo(f"\n{left}")
    if not skew.compared:
        message = f"{model}: none of {skew.answers:,} live answers could be compared."
        raise SpecError(message)
    if skew.differing:
        raise click.exceptions.Exit(1)


def first_instant(bench: "Workbench", since: str | None, window: str | None) -> datetime | None:
    """Tell from when on answers are compared. Raises: SpecError when it is no time."""
    if since and window:
        message = "--since and --window both say where to begin. Give one."
        raise SpecError(message)
    if window:
        return bench.clock.now() - length(window)
    if since is None:
        return None
    try:
        told = datetime.fromisoformat(since)
    except ValueError as error:
        message = f"--since: {since!r} is no time. Write it as 2026-03-01 or 2026-03-01T12:00Z."
        raise SpecError(message) from error
    return told.replace(tzinfo=told.tzinfo or UTC)


def lake_of(bench: "Workbench", spec: "LifecycleSpec") -> "Lake":
    """Find the accepted rows. Raises: SpecError without a key, StoreError when there are none yet."""
    from mlops_dagster.lifecycle import joins_of
    from mlops_dagster.monitor.served import Lake
    from mlops_dagster.records import Snapshot
    from mlops_dagster.scoring.inputs import join_lookups
    from mlops_dagster.scoring.loader import load_verified
    from mlops_dagster.stores.accepted import find_record

    if not spec.key:
        message = f"{spec.name}: no key is declared, which would name an answer's row in the lake."
        raise SpecError(message)
    address = (spec.name, spec.segment, "validated_data")
    validated = find_record(bench.records, bench.operations, address=address, kind=Snapshot)
    return Lake(
        bench=bench,
        model=spec.identity,
        validated=validated,
        join=lambda rows: join_lookups(
            rows,
            tables=bench.tables,
            compute=bench.compute,
            lookups=validated.lookups,
            joins=joins_of(spec),
            at=spec.event_time,
        ),
        load=load_verified,
    )


def waiting(bench: "Workbench", spec: "LifecycleSpec") -> str:
    """Say what of the log is not in the table yet; empty when all is."""
    from mlops_dagster.serve.endpoint.prediction_log import waiting_segments

    left = len(waiting_segments(bench.serving_log(spec.name, spec.segment)))
    if not left:
        return ""
    closes = write_duration(spec.serve.endpoint.seal_after)
    return (
        f"{left} segment(s) of the endpoint's log wait to be taken in: mlops-dagster run {spec.name} "
        f"--job score (one that is written to is closed {closes} after it was begun)"
    )


def write(model: str, skew: "Skew") -> str:
    """Write what was found, the features that differ first."""
    span = f"{skew.first:%Y-%m-%d %H:%M} to {skew.last:%Y-%m-%d %H:%M} UTC"
    told = (
        f"{model}: {skew.compared:,} of {skew.answers:,} live answers ({span}) compared with the lake; "
        f"{skew.differing:,} differ."
    )
    lines = [told, *left_out(skew)]
    if skew.compared:
        lines += ["", *table_of(skew)]
    for one in skew.worst:
        lines += ["", *examples_of(one)]
    return "\n".join([*lines, "", NUMBERS])


def left_out(skew: "Skew") -> list[str]:
    """Say how many answers could not be compared, and why."""
    return [f"  not compared: {count:,}, {why}" for why, count in skew.not_compared.items()]


def table_of(skew: "Skew") -> Iterator[str]:
    """Lay the features out, those that differ first."""
    worst = skew.worst
    ordered = [*worst, *(one for one in skew.features if not one.differing)]
    width = max(len("feature"), *(len(one.feature) for one in ordered)) + 2
    names = ("compared", "differ", "share", "largest")
    yield "feature".ljust(width) + cells(names)
    for one in ordered:
        largest = "" if one.largest is None else f"{one.largest:.6g}"
        told = (f"{one.compared:,}", f"{one.differing:,}", f"{one.share:.1%}", largest)
        hidden = f"   redacted in {one.redacted:,}, not compared there" if one.redacted else ""
        yield one.feature.ljust(width) + cells(told) + hidden


def cells(told: tuple[str, ...]) -> str:
    """Set one line of a table."""
    return "".join(f"{one:>{width}}" for one, width in zip(told, _WIDTHS, strict=True))


def examples_of(one: "FeatureSkew") -> Iterator[str]:
    """Show rows of one feature."""
    rest = one.differing - len(one.examples)
    yield f"{one.feature}:" + (f" (and {rest:,} more)" if rest else "")
    for each in one.examples:
        key = ", ".join(f"{name}={value}" for name, value in each.key.items())
        yield (
            f"  {each.prediction_id}  {key}  version {each.version}: served {each.served!r}, "
            f"of the lake {each.recomputed!r}"
        )


def as_plain(model: str, skew: "Skew") -> dict[str, object]:
    """Write what was found as JSON holds it."""
    from dataclasses import asdict

    from mlops_dagster.monitor.skew import TOLERANCE

    return {
        "model": model,
        "answers": skew.answers,
        "first": skew.first.isoformat() if skew.first else None,
        "last": skew.last.isoformat() if skew.last else None,
        "compared": skew.compared,
        "differing": skew.differing,
        "not_compared": dict(skew.not_compared),
        "tolerance": TOLERANCE,
        "features": [
            asdict(one) | {"share": one.share, "largest": one.largest} for one in skew.features
        ],
    }
