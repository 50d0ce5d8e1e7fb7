"""A row of inputs as JSON text and back, without changing what a model says of it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from mlops_dagster.scoring.loader import ScoringModel


_TIME_LETTERS = len("2026-01-31T05:00:00.000000")
_BLOCK = 65_536
"""Rows written at once: what Arrow's strings and a processor's cache can hold."""


def encode_inputs(rows: pd.DataFrame) -> list[str]:
    """Write each row as one JSON object: floats in full, times as ISO 8601 in UTC, null for missing."""
    texts: list[str] = input_texts(rows).to_pylist()
    return texts


def input_texts(rows: pd.DataFrame) -> pa.ChunkedArray:
    """Write what `encode_inputs` does, for Arrow: each different value of a column is written once."""
    blocks = [_joined(rows.iloc[at : at + _BLOCK]) for at in range(0, len(rows), _BLOCK)]
    return pa.chunked_array(blocks, pa.string())


def _joined(rows: pd.DataFrame) -> pa.Array:
    ends = ("{", *[","] * (len(rows.columns) - 1))
    columns = [
        _texts(rows[name], before=f"{end}{json.dumps(name)}:")
        for end, name in zip(ends, rows.columns, strict=True)
    ]
    return pc.binary_join_element_wise(*columns, "}", "")


def _texts(values: pd.Series, *, before: str) -> pa.Array:
    if pd.api.types.is_object_dtype(values.dtype):
        # 1, 1.0 and True are equal and read differently, so each value is told for itself.
        return pa.array([before + json.dumps(_plain(value)) for value in values.tolist()])
    if pd.api.types.is_float_dtype(values.dtype) and isinstance(values.dtype, np.dtype):
        # By their bits: 0.0 and -0.0 are equal and read differently.
        codes, bits = pd.factorize(values.to_numpy("float64").view(np.int64))
        # One call for all: no number's text has a comma.
        texts = json.dumps(bits.view(np.float64).tolist())[1:-1].split(", ")
        told = pa.array(["null" if text == "NaN" else text for text in texts], pa.string())
    else:
        codes, each = pd.factorize(values if isinstance(values.dtype, np.dtype) else values.array)
        told = pa.concat_arrays([_each_told(each), pa.array(["null"])])
        codes = np.where(codes < 0, len(each), codes)
    return pc.binary_join_element_wise(before, told, "").take(pa.array(codes))


def _each_told(values: Any) -> pa.Array:
    """Write different values, none of them null; times in UTC at once, since most rows have their own."""
    if isinstance(values.dtype, pd.DatetimeTZDtype) and str(values.dtype.tz) == "UTC":
        times = _times_told(values) if values.unit != "ns" else None
        if times is not None:
            return times
    return pa.array([json.dumps(_plain(value)) for value in values.tolist()], pa.string())


def _times_told(values: Any) -> pa.Array | None:
    """Write times in UTC; None where one is of no year between 1 and 9999."""
    times = pa.array(values.as_unit("us")).cast(pa.timestamp("us")).cast(pa.string())
    if not pc.all(pc.equal(pc.binary_length(times), _TIME_LETTERS)).as_py():
        return None
    parted = pc.binary_replace_slice(times, 10, 11, "T")
    whole = pc.replace_substring(parted, ".000000", "")
    return pc.binary_join_element_wise('"', whole, '+00:00"', "")


def decode_inputs(texts: Sequence[str], model: "ScoringModel") -> pd.DataFrame:
    """Read rows that `encode_inputs` wrote, with the columns that the model is given."""
    rows = pd.DataFrame([json.loads(text) for text in texts], columns=model.inputs)
    return typed_like(rows, model)


def typed_like(rows: pd.DataFrame, model: "ScoringModel") -> pd.DataFrame:
    """Give columns the types that the model reads them as; columns that it does not know are dropped."""
    typed = rows.reindex(columns=model.inputs)
    known = {*rows.columns, *model.artifact.numbers, *model.artifact.times}
    for name in [one for one in model.inputs if one not in known]:
        typed[name] = pd.Series([None] * len(typed), index=typed.index, dtype=object)
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
