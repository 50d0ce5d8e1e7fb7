"""Take the live endpoint's log into the tables `predictions` and `feedback`, each record once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.serve.answers import Scorer
from mlops_dagster.serve.endpoint.prediction_log import (
    read_segment,
    seal_what_was_left,
    sealed_segments,
)
from mlops_dagster.stores.hashes import hex_digests
from mlops_dagster.stores.schemas import as_kind
from mlops_dagster.workbench import StepContext

FEEDBACK = "feedback"
_TYPES = {
    "prediction_id": pa.string(),
    "inputs": pa.string(),
    "input_digest": pa.string(),
    "prediction": None,
    "probability": pa.float64(),
    "probabilities": pa.string(),
    "model_version": pa.string(),
    "role": pa.string(),
}
"""The columns of an answer; a prediction is of the type that the model's labels have."""


def take_log(context: StepContext, scorer: Scorer, folder: Path, *, like: pa.Schema) -> int:
    """Write what was answered live into the table, then forget the segments; give the rows taken.

    The prediction id is the key: whatever is interrupted may be done again. Keys and event times get the
    types that `like`, the accepted rows, has; what a caller sent that has no such form is null, and stays
    in the inputs.
    Raises: StoreError naming a damaged line; nothing is lost then.
    """
    if not folder.exists():
        return 0
    seal_what_was_left(folder)
    taken = 0
    for path in sealed_segments(folder):
        records = list(read_segment(path))
        answered = [one for one in records if "answer" in one]
        answers = rows_of(context.model, scorer, answered, like=like)
        taken += put(context, "predictions", answers, key="prediction_id")
        told = [one for one in records if "feedback" in one]
        put(context, FEEDBACK, feedback_of(told), key="feedback_id")
        path.unlink()
    return taken


def put(context: StepContext, noun: str, rows: pa.Table, *, key: str) -> int:
    """Write rows into a table, with the types that it has; give their number."""
    if not rows.num_rows:
        return 0
    name, tables = context.table(noun), context.bench.tables
    if tables.latest(name) is not None:
        rows = typed_as(rows, tables.dataset(name).schema)
    tables.upsert(name, rows, key=[key])
    return int(rows.num_rows)


def rows_of(
    model: ModelIdentity, scorer: Scorer, records: Sequence[Mapping[str, Any]], *, like: pa.Schema
) -> pa.Table:
    """Turn records into rows of `predictions`: one for each row that was asked about."""
    rows = [row for record in records for row in _rows(record)]
    if not rows:
        return pa.table({})
    at = pd.to_datetime(pd.Series([row["scored_at"] for row in rows]), utc=True, format="ISO8601")
    times = at
    columns = {
        name: as_kind([row.get(name) for row in rows], kind) for name, kind in _TYPES.items()
    }
    columns["input_digest"] = hex_digests(columns["inputs"])
    for name in model.key:
        columns[name] = as_kind([row.get(name) for row in rows], _kind(like, name))
    if model.event_time:
        told = [row.get(model.event_time) for row in rows]
        texts = pd.Series([one if isinstance(one, str) else None for one in told], dtype=object)
        given = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
        found = pa.chunked_array([pa.Array.from_pandas(given)])
        columns[model.event_time] = (
            _retyped(found, like.field(model.event_time).type)
            if model.event_time in like.names
            else found.combine_chunks()
        )
        times = given.fillna(at)
    columns["scored_at"] = pa.Array.from_pandas(at).cast(pa.timestamp("us", "UTC"))
    columns["window"] = scorer.windows_of(times)
    # Nothing but nulls has no type of its own, and a table must have one.
    return pa.table({name: one for name, one in columns.items() if not pa.types.is_null(one.type)})


def _kind(like: pa.Schema, name: str) -> pa.DataType:
    return like.field(name).type if name in like.names else pa.string()


def _rows(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    answer, named = record["answer"], record["named"]
    role = "" if record["role"] != "shadow" else "/shadow"
    labels = [name for name in answer if name.startswith("probability_")]
    for at, values in enumerate(record["rows"]):
        text = json.dumps(dict(zip(record["columns"], values, strict=True)), separators=(",", ":"))
        likely = {name.removeprefix("probability_"): answer[name][at] for name in labels}
        yield {
            "prediction_id": f"{record['id']}-{at}{role}",
            **{name: each[at] for name, each in named.items()},
            "inputs": text,
            "prediction": answer["prediction"][at],
            "probability": answer["probability"][at] if "probability" in answer else None,
            "probabilities": json.dumps(likely) if likely else None,
            "model_version": record["version"],
            "role": record["role"],
            "scored_at": record["at"],
        }


def feedback_of(records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Turn what callers told later into rows of `feedback`; the value is JSON."""
    at = [pd.Timestamp(one["at"]) for one in records]
    time = [pd.Timestamp(one["time"]) for one in records]
    return pa.table(
        {
            "feedback_id": pa.array([one["id"] for one in records], pa.string()),
            "prediction_id": pa.array([one["feedback"] for one in records], pa.string()),
            "value": pa.array([json.dumps(one["value"]) for one in records], pa.string()),
            "time": pa.array(time, pa.timestamp("us", "UTC")),
            "at": pa.array(at, pa.timestamp("us", "UTC")),
        }
    )


def typed_as(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give columns the types that the table has; a value that has no such form is null, the row stays."""
    columns = {
        name: _retyped(rows[name], schema.field(name).type)
        if name in schema.names
        else rows[name].combine_chunks()
        for name in rows.column_names
    }
    return pa.table(columns)


def _retyped(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    try:
        return column.cast(kind).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return as_kind(column.to_pylist(), kind)
