"""What names a prediction: the same text, and the same digest, however many rows are named at once."""

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.serve.answers import NO_TIME, Scorer
from tests.scoring.models import MODEL


def scorer(*key: str, window: timedelta = timedelta(days=1)) -> Scorer:
    model = MODEL.model_copy(update={"key": key})
    return Scorer(model=model, champion=None, window=window, at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["UA1", "b c", "~"]),
        pa.array(["UA1"], pa.large_string()),
        pa.array(['a"b', "back\\slash", "é", "\n", "\x7f", None, ""]),
        pa.array([1, None, -3]),
        pa.array([1.0, None, 1e300]),
        pa.array([True, None]),
        pa.array([datetime(2026, 1, 2, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    ],
)
def test_a_key_is_named_as_json_names_it(values):
    rows = pa.table({"one": values, "two": values})
    alone = [json.dumps([value, value], default=str) for value in values.to_pylist()]
    assert scorer("one", "two").keys(rows, pa.chunked_array([], pa.string())).to_pylist() == alone


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_a_window_is_named_by_its_start(unit):
    given = ["2026-02-01T05:00:00Z", None, "1969-12-31T23:00:00Z", "2026-02-01T07:59:59Z"]
    times = pd.Series(pd.to_datetime(given, utc=True)).astype(f"datetime64[{unit}, UTC]")
    named = scorer(window=timedelta(hours=4)).windows_of(times).to_pylist()
    early, before = "2026-02-01T04:00:00Z", "1969-12-31T20:00:00Z"
    assert named == [early, NO_TIME, before, early]
    far = pd.to_datetime(pd.Series(["9999-12-31T00:00:00Z", "1600-01-01T00:30:00Z"]), utc=True)
    hours = scorer(window=timedelta(hours=4)).windows_of(far).to_pylist()
    assert hours == ["9999-12-31T00:00:00Z", "1600-01-01T00:00:00Z"]
    assert scorer().windows_of(times[1:2]).to_pylist() == [NO_TIME]
