from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from mlops_dagster.profiles.moments import possible, told_left_out

NOW = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = [NOW - timedelta(days=n) for n in range(40)]


@pytest.mark.parametrize("year", [9999, 2099, 1600])
def test_a_few_times_that_cannot_be_are_none(year):
    times = pa.chunked_array([pa.array([datetime(year, 1, 1, tzinfo=UTC), *DAYS])])
    kept = possible(times, now=NOW)
    assert kept.null_count == 1
    assert kept[1].as_py() == NOW.replace(tzinfo=None)


def test_where_the_clock_stands_behind_the_rows_they_stay():
    kept = possible(pa.array(DAYS), now=NOW - timedelta(days=20))
    assert kept.null_count == 0


def test_what_is_left_out_is_counted():
    assert told_left_out(0) == ""
    assert told_left_out(1) == (
        "1 row has no time, or one after now or before 1677, and is in no window."
    )
