"""Take the live endpoint's log into the tables `predictions` and `feedback`, each record once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.serve.answers import Scorer, digest
from mlops_dagster.serve.endpoint.prediction_log import (
    read_segment,
    seal_what_was_left,
    sealed_segments,
)
from mlops_dagster.workbench import StepContext

FEEDBACK = "feedback"
_TYPES = {
    "probability": pa.float64(),
    "probabilities": pa.string(),
    "scored_at": pa.timestamp("us", "UTC"),
}


def take_log(context: StepContext, scorer: Scorer, folder: Path) -> int:
    """Write what was answered live into the table, then forget the segments; give the rows taken.

    The prediction id is the key: whatever is interrupted may be done again.
    Raises: StoreError naming a damaged line; nothing is lost then.
    """
    if not folder.exists():
        return 0
    seal_what_was_left(folder)
    taken = 0
    for path in sealed_segments(folder):
        records = list(read_segment(path))
        answers = rows_of(context.model, scorer, [one for one in records if "answer" in one])
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


def rows_of(model: ModelIdentity, scorer: Scorer, records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Turn records into rows of `predictions`: one for each row that was asked about."""
    rows = [row for record in records for row in _rows(record)]
    made = pd.DataFrame(rows)
    if not rows:
        return pa.table({})
    at = pd.to_datetime(made["scored_at"], utc=True, format="ISO8601")
    times = at
    if model.event_time and model.event_time in made:
        given = pd.to_datetime(made[model.event_time], utc=True, format="ISO8601", errors="coerce")
        made[model.event_time] = given
        times = given.fillna(at)
    made["scored_at"] = at
    made["window"] = scorer.windows_of(times)
    table = pa.Table.from_pandas(made, preserve_index=False)
    # Nothing but nulls has no type of its own, and a table must have one.
    typed = pa.schema([pa.field(one.name, _TYPES.get(one.name, one.type)) for one in table.schema])
    known = [one.name for one in typed if not pa.types.is_null(one.type)]
    return table.cast(typed).select(known)


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
            "input_digest": digest(text),
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
    """Give columns the table's types; a value that has no such form is null, the row stays."""
    columns = {}
    for name in rows.column_names:
        if name not in schema.names:
            continue
        kind, column = schema.field(name).type, rows[name]
        try:
            columns[name] = column.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            columns[name] = pa.array([_cast(one, kind) for one in column], kind)
    return pa.table(columns)


def _cast(value: pa.Scalar, kind: pa.DataType) -> Any:
    try:
        return value.cast(kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
