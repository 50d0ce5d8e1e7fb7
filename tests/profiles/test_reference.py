from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.profiles.reference import (
    as_table,
    read_reference,
    reference_of,
    write_reference,
)

RNG = np.random.default_rng(31)
START = datetime(2013, 1, 1, tzinfo=UTC)
FEATURES = pa.table({"delay": RNG.normal(size=2_400)})
ANSWERS = pa.table({"prediction": RNG.integers(0, 2, size=2_400)})
TIMES = pa.array([START + timedelta(hours=n) for n in range(2_400)])
WEEK = timedelta(days=7)


def test_what_is_written_reads_back_and_twice_gives_the_same_bytes(tmp_path):
    reference = reference_of(FEATURES, ANSWERS, event_times=TIMES, window=WEEK, through=3)
    path = write_reference(tmp_path, reference)
    first = path.read_bytes()
    assert read_reference(tmp_path) == reference
    again = reference_of(FEATURES, ANSWERS, event_times=TIMES, window=WEEK, through=3)
    assert write_reference(tmp_path, again).read_bytes() == first


def test_only_complete_windows_are_kept():
    reference = reference_of(FEATURES, ANSWERS, event_times=TIMES, window=WEEK)
    assert reference.windows == 14  # 100 days
    assert {window.rows for window in reference.features.windows} == {168}
    assert len(reference.predictions.windows) == 14
    assert reference.newest == START + timedelta(hours=2_399)


def test_rows_without_times_have_no_windows():
    reference = reference_of(FEATURES, ANSWERS)
    assert (reference.rows, reference.windows, reference.newest) == (2_400, 0, None)


def test_times_in_nanoseconds_and_nulls_are_taken():
    times = pa.array([None, *TIMES.cast(pa.timestamp("ns", "UTC"))[1:].to_pylist()])
    assert reference_of(FEATURES, ANSWERS, event_times=times, window=WEEK).windows == 14


def test_a_prediction_is_needed_for_each_row():
    with pytest.raises(DataNotFitError, match="2400 rows of features and 10 predictions"):
        reference_of(FEATURES, ANSWERS.slice(0, 10))


def test_a_folder_without_a_profile_says_the_way_out(tmp_path):
    with pytest.raises(StoreError, match=r"holds no profile: .*Train and register the model"):
        read_reference(tmp_path)


def test_mixed_objects_in_a_frame_are_read_as_text():
    table = as_table(pd.DataFrame({"x": [1, "a", None]}, index=[5, 6, 7], dtype=object))
    assert table["x"].to_pylist() == ["1", "a", None]
