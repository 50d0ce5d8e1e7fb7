"""The table `performance`: every metric of every window, with how much was known and when."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_dagster.metrics.losses import LossSketch, loss_name
from mlops_dagster.monitor.measured import Measured
from mlops_dagster.monitor.windows import Window
from mlops_dagster.workbench import StepContext

PERFORMANCE = "performance"
KEY = ("window_start", "window_end", "model_version", "kind", "slice", "metric")
_STAMP = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("window_start", _STAMP),
        ("window_end", _STAMP),
        ("model_version", pa.string()),
        ("kind", pa.string()),
        ("slice", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("labels", pa.int64()),
        ("answers", pa.int64()),
        ("coverage", pa.float64()),
        ("as_of", _STAMP),
        ("source", pa.string()),
        ("seen", pa.string()),
    ]
)


def seen_before(context: StepContext) -> dict[tuple[Any, str], str]:
    """Tell what each window's numbers were made of, by window start and version."""
    name = context.table(PERFORMANCE)
    if context.bench.tables.latest(name) is None:
        return {}
    rows = context.bench.tables.read(name, columns=["window_start", "model_version", "seen"])
    return {
        (one["window_start"], one["model_version"]): one["seen"]
        for one in rows.group_by(["window_start", "model_version", "seen"])
        .aggregate([])
        .to_pylist()
    }


def keep(context: StepContext, measured: Sequence[Measured]) -> None:
    """Write metrics in place of what was known of the same windows before.

    A metric that can be computed no more, since its labels were withdrawn, is kept without a value.
    """
    rows = [row for one in measured for row in _rows(context, one)]
    if not rows:
        return
    name = context.table(PERFORMANCE)
    with context.lock(PERFORMANCE):
        fresh = pa.Table.from_pylist(rows, schema=SCHEMA)
        known = {tuple(row[key] for key in KEY) for row in rows}
        by_window = {(one.window.start, one.version): one for one in measured}
        # An estimate needs no label: that of a version which serves no more stays as it was.
        gone = [
            row
            for row in _of_windows(context, measured)
            if _key(row) not in known and row["kind"] == "labelled"
        ]
        for row in gone:
            one = by_window[row["window_start"], row["model_version"]]
            row |= {
                "value": None,
                "low": None,
                "high": None,
                "labels": 0,
                "coverage": 0.0,
                "as_of": one.as_of,
                "seen": one.digest,
            }
        table = pa.concat_tables([fresh, pa.Table.from_pylist(gone, schema=SCHEMA)])
        context.bench.tables.upsert(name, table, key=list(KEY))


def read_history(context: StepContext, windows: Sequence[Window]) -> list[dict[str, Any]]:
    """List the metrics of windows, oldest first."""
    name = context.table(PERFORMANCE)
    if not windows or context.bench.tables.latest(name) is None:
        return []
    chosen = (
        pc.field("window_start").isin(pa.array([window.start for window in windows], _STAMP))
        & pc.field("value").is_valid()
    )
    rows = context.bench.tables.dataset(name).to_table(filter=chosen)
    found: list[dict[str, Any]] = rows.sort_by(
        [("window_start", "ascending"), ("model_version", "ascending"), ("metric", "ascending")]
    ).to_pylist()
    return found


def read_newest(context: StepContext, *, windows: int) -> list[dict[str, Any]]:
    """List what is known of the newest windows as wholes, by every version, the oldest first.

    A window without a label has a row without a metric, which tells how many answers it has.
    """
    name = context.table(PERFORMANCE)
    if context.bench.tables.latest(name) is None:
        return []
    rows = context.bench.tables.dataset(name).to_table(filter=pc.field("slice") == "")
    starts = pc.unique(rows["window_start"]).sort("descending")[:windows]
    chosen = rows.filter(pc.is_in(rows["window_start"], value_set=starts))
    found: list[dict[str, Any]] = chosen.sort_by(
        [("window_start", "ascending"), ("model_version", "ascending"), ("metric", "ascending")]
    ).to_pylist()
    return found


def _of_windows(context: StepContext, measured: Sequence[Measured]) -> list[dict[str, Any]]:
    name = context.table(PERFORMANCE)
    if context.bench.tables.latest(name) is None:
        return []
    starts = pa.array([one.window.start for one in measured], _STAMP)
    rows = context.bench.tables.dataset(name).to_table(filter=pc.field("window_start").isin(starts))
    wanted = {(one.window.start, one.version) for one in measured}
    return [
        row for row in rows.to_pylist() if (row["window_start"], row["model_version"]) in wanted
    ]


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _rows(context: StepContext, one: Measured) -> Iterator[dict[str, Any]]:
    name = loss_name(context.model.task)
    labelled = dict(one.metrics) | ({name: one.loss.mean} if one.loss.rows else {})
    shared = {
        "window_start": one.window.start,
        "window_end": one.window.end,
        "model_version": one.version,
        "slice": "",
        "labels": one.loss.rows,
        "answers": one.rows,
        "coverage": one.coverage,
        "as_of": one.as_of,
        "source": one.source,
        "seen": one.digest,
    }
    # A window without labels is remembered too, so that it is not measured again.
    yield shared | {"kind": "labelled", "metric": "", "value": None}
    for metric, value in labelled.items():
        yield shared | {"kind": "labelled", "metric": metric, "value": value}
    for metric, found in one.estimates.items():
        known = {"value": found.value, "low": found.low, "high": found.high}
        yield shared | {"kind": "estimated", "metric": metric} | known
    for part in one.slices:
        yield shared | _slice(name, part.name, part.loss)


def _slice(metric: str, name: str, loss: LossSketch) -> dict[str, Any]:
    return {
        "kind": "labelled",
        "slice": name,
        "metric": metric,
        "value": loss.mean,
        "labels": loss.rows,
    }
