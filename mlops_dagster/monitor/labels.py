"""Which label each prediction has now, whatever order labels came in. Tables in, arrays out.

Labels are told by the rows themselves, by a declared source, and as feedback. Of one prediction the
latest label counts: by its own time, then by when it came. A label without a time is older than any
that has one, and a null label withdraws what was said before.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from mlops_dagster.declaration import Task
from mlops_dagster.duck import connect
from mlops_dagster.profiles.groups import as_text

Floats = npt.NDArray[np.float64]
STAMP = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Labels from one place. `by` pairs a column of the predictions with one of `rows`.

    `rows` holds these columns and `truth`, `label_time`, `arrival` (larger came later).
    """

    place: str
    rows: pa.Table
    by: Mapping[str, str]
    unreadable: int = 0


def told(
    place: str,
    rows: pa.Table,
    *,
    by: Mapping[str, str],
    label: str,
    time: str | None,
    arrival: str | None,
    known: tuple[Task, Sequence[Any]],
    as_json: bool = False,
) -> Told:
    """Read labels from the columns of one place; those that are no values of the target are counted.

    `known` is the task with the model's labels.
    """
    task, labels = known
    truth, readable = read_labels(rows[label], task=task, labels=labels, as_json=as_json)
    count = rows.num_rows
    columns = {name: rows[name] for name in by.values()}
    columns["truth"] = truth
    columns["label_time"] = _times(rows[time]) if time else pa.nulls(count, STAMP)
    order = pc.cast(rows[arrival], pa.int64()) if arrival else pa.array(np.arange(count))
    columns["arrival"] = order
    kept = pa.table(columns).filter(readable)
    return Told(place=place, rows=kept, by=by, unreadable=count - kept.num_rows)


def latest_labels(predictions: pa.Table, places: Sequence[Told]) -> Floats:
    """Find the label that each row of `predictions` has, the later places winning among equals.

    A label is its place among the model's labels, or a number; nan is not labelled, and -1 one of
    several that the model does not know.
    """
    count = predictions.num_rows
    truth = np.full(count, np.nan)
    usable = [one for one in places if set(one.by) <= set(predictions.column_names)]
    if not count or not usable:
        return truth
    numbered = predictions.append_column("_row", pa.array(np.arange(count)))
    with connect() as connection:
        connection.register("predictions", numbered)
        for at, one in enumerate(usable):
            connection.register(f"told_{at}", one.rows)
        candidates = " UNION ALL ".join(
            _candidates(at, one, predictions.schema) for at, one in enumerate(usable)
        )
        latest = _LATEST.format(candidates=candidates)
        found: pa.Table = connection.sql(latest).to_arrow_table()
    truth[found["row"].to_numpy()] = found["truth"].to_numpy(zero_copy_only=False)
    return truth


_LATEST = """
SELECT row, truth FROM ({candidates})
QUALIFY row_number() OVER (
    PARTITION BY row ORDER BY label_time DESC NULLS LAST, place DESC, arrival DESC
) = 1
"""


def _candidates(at: int, one: Told, schema: pa.Schema) -> str:
    matches = " AND ".join(
        _equal(schema.field(mine).type, one.rows.schema.field(theirs).type, mine, theirs)
        for mine, theirs in one.by.items()
    )
    return (
        f"SELECT p._row AS row, {at} AS place, t.truth, t.label_time, t.arrival "
        f"FROM predictions p JOIN told_{at} t ON {matches}"
    )


def _equal(mine: pa.DataType, theirs: pa.DataType, left: str, right: str) -> str:
    """Compare a key as both sides have it; as text where one is a number and the other is not."""
    sides = [f'p."{_quoted(left)}"', f't."{_quoted(right)}"']
    if _is_number(mine) != _is_number(theirs):
        sides = [f"CAST({side} AS VARCHAR)" for side in sides]
    return " = ".join(sides)


def _quoted(name: str) -> str:
    return name.replace('"', '""')


def _is_number(kind: pa.DataType) -> bool:
    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))


def read_labels(
    values: pa.ChunkedArray, *, task: Task, labels: Sequence[Any], as_json: bool = False
) -> tuple[pa.Array, pa.Array]:
    """Turn labels into what a model calls them: (truth, whether it could be read).

    1, 1.0, "1" and true are one label. Of two labels a third cannot be read; of several it is one
    that the model does not know, -1.
    """
    if kinds.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    coded = values.combine_chunks().dictionary_encode()
    each = [json.loads(text) if as_json else text for text in coded.dictionary.to_pylist()]
    read = [np.nan if value is None else _read(value, task, labels) for value in each]
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.float64)
    missing = np.isnan(codes)
    places = np.where(missing, len(read), codes).astype(np.int64)
    truth = np.asarray([*(np.nan if one is None else one for one in read), np.nan])[places]
    readable = np.asarray([*(one is not None for one in read), True])[places]
    return pa.array(truth, pa.float64(), from_pandas=True), pa.array(readable)


def _read(value: Any, task: Task, labels: Sequence[Any]) -> float | None:
    if not task.is_classification:
        return _number(value)
    import pandas as pd

    texts = as_text(pd.Series(list(labels), dtype=object)).tolist()
    [text] = as_text(pd.Series([value], dtype=object)).tolist()
    if text in texts:
        return float(texts.index(text))
    return None if task is Task.BINARY else -1.0


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if kinds.is_timestamp(kind) and kind.tz is None:
        column = pc.assume_timezone(column, "UTC")
    elif kinds.is_date(kind):
        column = pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
    elif kinds.is_string(kind) or kinds.is_large_string(kind):
        column = pc.cast(column, STAMP)
    return pc.cast(column, STAMP, safe=False)
