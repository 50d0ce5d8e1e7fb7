"""`mlops-dagster calibrate MODEL`: how often drift would have alarmed on the model's own history."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.location import WORKSPACE, find_model, open_bench
from mlops_dagster.declaration import Duration, write_duration
from mlops_dagster.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from mlops_dagster.monitor.calibration import Expected
    from mlops_dagster.monitor.spec import DriftSpec
    from mlops_dagster.spec import LifecycleSpec
    from mlops_dagster.workbench import Workbench

WINDOWS = ("1d", "7d", "14d")
RATES = (0.001, 0.01, 0.05)
WIDTHS = (8, 14, 9, 9, 9, 7, 9)


@click.command("calibrate")
@click.argument("model")
@click.option(
    "--window", "windows", multiple=True, help="Length of a window, such as 7d; repeatable."
)
@click.option(
    "--false-alarms",
    "rates",
    multiple=True,
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    help="Share of quiet windows that may alarm; repeatable.",
)
@click.option(
    "--picture", type=click.Path(path_type=Path, dir_okay=False), help="Where the picture goes."
)
@WORKSPACE
def command(
    *,
    model: str,
    windows: tuple[str, ...],
    rates: tuple[float, ...],
    picture: Path | None,
    workspace: Path,
) -> None:
    """Tell how many drift alarms a month MODEL's own history would have brought, by setting."""
    from mlops_dagster.profiles.moments import told_left_out

    spec = find_model(workspace, model)
    bench = open_bench()
    times, features = history(bench, spec)
    if told := told_left_out(times.null_count):
        click.echo(told)
    found = []
    for size in lengths(spec, windows):
        drift = settings(spec, size)
        found += judged(features, times, drift, sorted({*(rates or RATES), drift.false_alarms}))
    click.echo(table(spec, found))
    place = picture or bench.home / f"calibration-{model.replace('/', '-')}.png"
    from mlops_dagster.monitor.calibration_picture import draw

    if any(not one.too_few for one in found):
        draw(found, place, title=f"{model}: drift alarms expected on its own history")
        click.echo(f"\nThe same as a picture: {place}")


def lengths(spec: "LifecycleSpec", asked: tuple[str, ...]) -> list[timedelta]:
    """List the lengths of windows: those asked for, else usual ones and the declared one."""
    declared = [spec.monitor.drift.window] if spec.monitor.drift else []
    return sorted({*map(length, asked or WINDOWS), *([] if asked else declared)})


def length(text: str) -> timedelta:
    """Read a length such as 7d. Raises: SpecError when it is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        read: timedelta = TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        message = f"--window: {text!r} is no length of time such as 14d, 36h or 90m."
        raise SpecError(message) from error
    return read


def settings(spec: "LifecycleSpec", window: timedelta) -> "DriftSpec":
    """Take what is declared of drift, with windows of another length."""
    from mlops_dagster.monitor.spec import DriftSpec

    return (spec.monitor.drift or DriftSpec()).model_copy(update={"window": window})


def history(bench: "Workbench", spec: "LifecycleSpec") -> "tuple[pa.ChunkedArray, pd.DataFrame]":
    """Read the features of all accepted rows with a known target, and their times where these can be.

    Raises: SpecError when the model has no event time, StoreError when no run has made features yet.
    """
    from mlops_dagster.profiles.moments import possible
    from mlops_dagster.records import FeatureSet
    from mlops_dagster.scoring.feature_rows import FeatureRows
    from mlops_dagster.stores.accepted import find_record

    if spec.event_time is None:
        message = (
            f"{spec.name}: no event_time is declared, so its history has no windows. Declare it."
        )
        raise SpecError(message)
    address = (spec.name, spec.segment, "features")
    made = find_record(bench.records, bench.operations, address=address, kind=FeatureSet)
    rows = FeatureRows.read(bench.tables, made.table)
    return possible(rows.table[spec.event_time], now=bench.clock.now()), rows.features()


def judged(
    features: "pd.DataFrame", times: "pa.ChunkedArray", drift: "DriftSpec", rates: list[float]
) -> "list[Expected]":
    """Judge the history in windows of one length."""
    import pyarrow as pa

    from mlops_dagster.monitor.calibration import expected_alarms
    from mlops_dagster.profiles.reference import as_table, reference_of

    none = pa.table({"none": pa.nulls(len(features), pa.float64())})
    made = reference_of(as_table(features), none, event_times=times, window=drift.window)
    return list(expected_alarms(made.features, drift, rates))


def table(spec: "LifecycleSpec", found: "list[Expected]") -> str:
    """Lay the settings out; the declared one is marked."""
    names = ("window", "false_alarms", "windows", "alarmed", "a month", "up to", "may ask")
    lines = ["".join(f"{name:>{width}}" for name, width in zip(names, WIDTHS, strict=True))]
    lines[0] += "  worst columns"
    for one in found:
        drift = spec.monitor.drift
        own = drift and (drift.window, drift.false_alarms) == (one.window, one.false_alarms)
        lines.append(line(one) + ("   <- declared" if own else ""))
    lines += [
        "",
        "alarmed: windows of the history that would have alarmed, each judged against the others.",
        "a month, up to: alarms a month, and the upper end of its 95 % interval.",
        "may ask: those a month whose drift is more than minor. Seasons count as drift here too.",
    ]
    return "\n".join(lines)


def line(one: "Expected") -> str:
    """Write one setting."""
    setting = [write_duration(one.window), f"{one.false_alarms:g}"]
    counts = [f"{one.judged}", f"{one.alarming}"]
    months = [f"{value:.1f}" for value in (one.per_month, one.at_most, one.asking_per_month)]
    cells = setting if one.too_few else [*setting, *counts, *months]
    told = "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=False))
    rest = f"not applicable: {one.too_few}" if one.too_few else ", ".join(one.columns[:3])
    return f"{told}  {rest}"
