"""A row of inputs as JSON text and back, without changing what a model says of it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from mlops_dagster.scoring.loader import ScoringModel


def encode_inputs(rows: pd.DataFrame) -> list[str]:
    """Write each row as one JSON object: floats in full, times as ISO 8601 in UTC, null for missing."""
    columns = [
        [f"{json.dumps(name)}:{text}" for text in _texts(rows[name])] for name in rows.columns
    ]
    return [f"{{{','.join(values)}}}" for values in zip(*columns, strict=True)]


def _texts(values: pd.Series) -> list[str]:
    if pd.api.types.is_float_dtype(values.dtype) and isinstance(values.dtype, np.dtype):
        # One call for the column: no number's text has a comma.
        told = json.dumps(values.tolist())[1:-1].split(", ") if len(values) else []
        return ["null" if text == "NaN" else text for text in told]
    if pd.api.types.is_object_dtype(values.dtype):
        # 1, 1.0 and True are equal and read differently, so each value is told for itself.
        return [json.dumps(_plain(value)) for value in values.tolist()]
    codes, each = pd.factorize(values)
    told = [*(json.dumps(_plain(value)) for value in each.tolist()), "null"]
    return [told[code] for code in codes]


def decode_inputs(texts: Sequence[str], model: "ScoringModel") -> pd.DataFrame:
    """Read rows that `encode_inputs` wrote, with the columns that the model is given."""
    rows = pd.DataFrame([json.loads(text) for text in texts], columns=model.inputs)
    return typed_like(rows, model)


def typed_like(rows: pd.DataFrame, model: "ScoringModel") -> pd.DataFrame:
    """Give columns the types that the model reads them as; columns that it does not know are dropped."""
    typed = rows.reindex(columns=model.inputs)
    for name in model.artifact.numbers:
        typed[name] = pd.to_numeric(typed[name]).astype("float64")
    for name in model.artifact.times:
        typed[name] = pd.to_datetime(typed[name], utc=True, format="ISO8601")
    return typed


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool) else str(value)
