"""Turn rows and a model's answer into rows of the table `predictions`."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd
import pyarrow as pa

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.scoring.loader import ScoringModel
from mlops_dagster.scoring.rows import encode_inputs, typed_like

EPOCH = pd.Timestamp(0, tz="UTC")


def score_rows(
    model: ModelIdentity, rows: pa.Table, *, champion: ScoringModel, window: timedelta, at: datetime
) -> pa.Table:
    """Score rows. Each has an id, its inputs as JSON, the answer, the version and the time."""
    frame = rows.to_pandas()
    inputs = typed_like(frame, champion)
    answer = champion.predict(inputs)
    texts = encode_inputs(inputs)
    windows = windows_of(model, frame, window=window)
    keys = keys_of(model, frame, texts)
    table = {
        "prediction_id": [
            digest(f"{model.address}/{w}/{k}") for w, k in zip(windows, keys, strict=True)
        ],
        **{
            name: rows[name] for name in (*model.key, *times_of(model)) if name in rows.column_names
        },
        "window": pa.array(windows, pa.string()),
        "inputs": pa.array(texts, pa.string()),
        "input_digest": [digest(text) for text in texts],
        "prediction": pa.Array.from_pandas(answer["prediction"]),
        "probability": _column(answer, "probability"),
        "probabilities": _probabilities(answer),
        "model_version": pa.array([champion.version] * len(frame), pa.string()),
        "role": pa.array(["batch"] * len(frame), pa.string()),
        "scored_at": pa.array([at] * len(frame), pa.timestamp("us", "UTC")),
    }
    return pa.table(table)


def windows_of(model: ModelIdentity, frame: pd.DataFrame, *, window: timedelta) -> list[str]:
    """Name each row's window by its start, or by the batch it arrived with when rows have no time."""
    if model.event_time is None:
        return [f"batch-{number}" for number in frame["_batch"]]
    start = EPOCH + ((frame[model.event_time] - EPOCH) // window) * window
    return list(start.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def keys_of(model: ModelIdentity, frame: pd.DataFrame, texts: Sequence[str]) -> list[str]:
    """Name each row by its key, else by its content and how often that stood before it."""
    if model.key:
        columns = [frame[name].astype(str) for name in model.key]
        return ["|".join(parts) for parts in zip(*columns, strict=True)]
    told = pd.Series(list(texts))
    return list(told + "#" + told.groupby(told).cumcount().astype(str))


def times_of(model: ModelIdentity) -> tuple[str, ...]:
    """The columns of time that predictions keep."""
    return (model.event_time,) if model.event_time else ()


def digest(text: str) -> str:
    """Digest a text to 32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _column(answer: pd.DataFrame, name: str) -> pa.Array:
    if name in answer:
        return pa.array(answer[name], pa.float64())
    return pa.nulls(len(answer), pa.float64())


def _probabilities(answer: pd.DataFrame) -> pa.Array:
    columns = [str(name) for name in answer if str(name).startswith("probability_")]
    if not columns:
        return pa.nulls(len(answer), pa.string())
    rows = answer[columns].rename(columns=lambda name: str(name).removeprefix("probability_"))
    return pa.array([json.dumps(row) for row in rows.to_dict(orient="records")], pa.string())
