"""A row as JSON text: every value told as it is, however many rows are written at once."""

import json

import numpy as np
import pandas as pd
import pytest

from mlops_dagster.scoring.rows import encode_inputs

TIMES = ["2013-01-01T10:15:00Z", None, "2013-01-01T10:15:00.5Z", "1677-10-01T00:00:00.000001Z",
         "2262-01-01T00:00:00Z", "2013-01-01T10:15:00Z"]  # fmt: skip


def told(value):
    if pd.isna(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_every_value_is_written_as_python_writes_it_alone(unit):
    times = pd.to_datetime(pd.Series(TIMES), utc=True, format="ISO8601")
    rows = pd.DataFrame(
        {
            "time": times.astype(f"datetime64[{unit}, UTC]"),
            "any": pd.Series([1, 1.0, True, "a", None, float("nan")], dtype=object),
            "number": [0.0, -0.0, np.nan, 1e300, 1 / 3, -1],
            "whole": [1, 2, 3, 4, 5, 6],
            'te"xt': pd.Series(['é"', None, "b", "b", "", ","], dtype="str"),
            "kind": pd.Categorical(["a", "b", None, "a", "b", "a"]),
            "truth": [True, False] * 3,
        }
    )
    values = zip(*(rows[name].tolist() for name in rows), strict=True)
    alone = [{name: told(value) for name, value in zip(rows, row, strict=True)} for row in values]
    assert encode_inputs(rows) == [json.dumps(row, separators=(",", ":")) for row in alone]


def test_no_rows_are_no_texts():
    assert encode_inputs(pd.DataFrame({"size": pd.Series(dtype="float64")})) == []


def test_more_rows_than_one_block_stay_in_order():
    numbers = range(70_000)
    texts = encode_inputs(pd.DataFrame({"n": np.arange(70_000, dtype="float64")}))
    assert texts == [f'{{"n":{n}.0}}' for n in numbers]
