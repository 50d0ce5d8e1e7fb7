"""Reads what a window is judged by: its rows, the features made of them, the answers given."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.monitor.champion import Champion
from mlops_dagster.monitor.freshness import as_utc
from mlops_dagster.monitor.windows import Window
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.derived import with_derived
from mlops_dagster.profiles.reference import as_table
from mlops_dagster.profiles.tables import profile_of
from mlops_dagster.records import Snapshot
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.stores.tables import BATCH
from mlops_dagster.workbench import StepContext

Join: TypeAlias = Callable[[StepContext, pa.Table, Snapshot], pa.Table]
PREDICTIONS = "predictions"
ROLES = ("batch", "live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One window's features and answers in the reference's bins. `source` says whose answers."""

    window: Window
    rows: int
    features: TableProfile
    predictions: TableProfile
    source: str


def gather(
    context: StepContext,
    champion: Champion,
    validated: Snapshot,
    window: Window,
    *,
    enough: int,
    join: Join,
) -> Evidence:
    """Profile a window through the champion's own feature code, and the answers of that window.

    Stored predictions are used when there are `enough` of them, else the same rows are answered now.
    """
    rows = rows_of(context, validated, window)
    reference = champion.reference
    if not rows.num_rows:
        return _nothing(window)
    inputs = as_given(join(context, rows, validated))
    features = champion.model.features(inputs)
    stored = stored_answers(context, champion, window)
    if stored is not None and stored.num_rows >= enough:
        answers, source = stored, f"{stored.num_rows:,} stored predictions"
    else:
        answers = as_table(champion.model.artifact.score(features))
        source = f"the champion's answers to the same {rows.num_rows:,} rows"
    return Evidence(
        window=window,
        rows=rows.num_rows,
        features=profile_of(
            with_derived(as_table(features), like=reference.features),
            edges_from=reference.features,
        ),
        predictions=profile_of(answers, edges_from=reference.predictions),
        source=source,
    )


def rows_of(context: StepContext, validated: Snapshot, window: Window) -> pa.Table:
    """Read the rows of one window."""
    rows = _dataset(context, validated)
    if window.batch is not None:
        return rows.to_table(filter=pc.field(BATCH) == window.batch)
    return rows.to_table(filter=within(rows.schema, str(context.model.event_time), window))


def stored_answers(context: StepContext, champion: Champion, window: Window) -> pa.Table | None:
    """Read the champion's predictions of the window's rows; None when there are none to compare."""
    name = context.table(PREDICTIONS)
    if context.bench.tables.latest(name) is None:
        return None
    rows = context.bench.tables.dataset(name)
    columns = list(champion.reference.predictions.columns)
    which = "window" if window.batch is not None else str(context.model.event_time)
    if not {*columns, which, "model_version", "role"} <= set(rows.schema.names):
        return None
    chosen = (
        pc.field(which) == f"batch-{window.batch}"
        if window.batch is not None
        else within(rows.schema, which, window)
    )
    chosen &= pc.field("model_version") == champion.version
    chosen &= pc.field("role").isin(ROLES)
    return rows.to_table(columns=columns, filter=chosen)


def newest_event(context: StepContext, validated: Snapshot) -> datetime | None:
    """Find the largest event time among the accepted rows."""
    if validated.newest is not None:
        return as_utc(validated.newest)
    return _largest(_event_times(context, validated))


def newest_that_came(context: StepContext, validated: Snapshot) -> datetime | None:
    """Find the largest event time that is not still to come; if all are, the largest.

    One mistyped year must not make old data look new for decades.
    """
    newest = newest_event(context, validated)
    if newest is None or newest <= context.at:
        return newest
    times = _event_times(context, validated)
    now = pa.scalar(as_utc(context.at).replace(tzinfo=None), times.type)
    return _largest(times.filter(pc.less_equal(times, now))) or newest


def still_to_come(context: StepContext, validated: Snapshot) -> int:
    """Count the accepted rows that are dated after now."""
    newest = newest_event(context, validated)
    if newest is None or newest <= context.at:
        return 0
    times = _event_times(context, validated)
    now = pa.scalar(as_utc(context.at).replace(tzinfo=None), times.type)
    count: int = pc.sum(pc.greater(times, now)).as_py() or 0
    return count


def _event_times(context: StepContext, validated: Snapshot) -> pa.ChunkedArray:
    time = context.model.event_time
    if time is None:
        return pa.chunked_array([], pa.timestamp("us"))
    times = _dataset(context, validated).to_table(columns=[time])[time]
    return _moments(times, where=context.model.address)


def _largest(times: pa.ChunkedArray) -> datetime | None:
    found: datetime | None = pc.max(times).as_py()
    return as_utc(found) if found else None


def batches_there(context: StepContext, validated: Snapshot) -> list[int]:
    """List the batches that the accepted rows came with."""
    rows = _dataset(context, validated)
    if BATCH not in rows.schema.names:
        return []
    found: list[int] = pc.unique(rows.to_table(columns=[BATCH])[BATCH].drop_null()).to_pylist()
    return sorted(found)


def _dataset(context: StepContext, validated: Snapshot) -> pads.Dataset:
    return context.bench.tables.dataset(validated.table.name, version=validated.table.version)


def within(schema: pa.Schema, time: str, window: Window) -> pc.Expression:
    """Choose the rows whose time is in a window."""
    kind = schema.field(time).type
    return (pc.field(time) >= _bound(window.start, kind)) & (
        pc.field(time) < _bound(window.end, kind)
    )


def _bound(moment: datetime | None, kind: pa.DataType) -> pa.Scalar:
    """Write an instant as the column has it: a time without a zone is read as UTC."""
    if moment is None or not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        message = f"event time: the column holds {kind}, no times. Ingest it as a timestamp."
        raise DataNotFitError(message)
    if pa.types.is_date(kind):
        return pa.scalar(moment.date(), pa.date32()).cast(kind)
    plain = moment if kind.tz else moment.replace(tzinfo=None)
    return pa.scalar(plain, pa.timestamp("us", kind.tz)).cast(kind)


def _moments(times: pa.ChunkedArray, *, where: str) -> pa.ChunkedArray:
    if not (pa.types.is_timestamp(times.type) or pa.types.is_date(times.type)):
        message = f"{where}: the event time holds {times.type}, no times. Ingest it as a timestamp."
        raise DataNotFitError(message)
    return pc.cast(times, pa.timestamp("us"), safe=False)


def _nothing(window: Window) -> Evidence:
    empty = TableProfile(rows=0, columns={})
    return Evidence(window=window, rows=0, features=empty, predictions=empty, source="no rows")
