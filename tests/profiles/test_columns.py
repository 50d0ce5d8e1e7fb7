import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.profiles.columns import dumps, from_json, merge, subtract, to_json
from mlops_dagster.profiles.tables import profile_of

RNG = np.random.default_rng(29)


def rows(n):
    delay = RNG.normal(size=n)
    delay[RNG.random(n) < 0.1] = np.nan
    return pa.table({"delay": delay, "origin": RNG.choice(["a", "b", "c", None], size=n)})


WHOLE = rows(4_000)
REFERENCE = profile_of(WHOLE)


def close(a, b):
    """Equal but for the last digits of means."""
    left, right = json.loads(dumps(to_json(a))), json.loads(dumps(to_json(b)))
    for name, column in left["columns"].items():
        for key, value in column.items():
            told = right["columns"][name][key]
            assert value == (pytest.approx(told, abs=1e-9) if isinstance(value, float) else told), (
                key
            )
    return True


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3_999))
def test_parts_merge_to_exactly_the_whole_and_can_be_taken_away_again(cut):
    a = profile_of(WHOLE.slice(0, cut), edges_from=REFERENCE)
    b = profile_of(WHOLE.slice(cut), edges_from=REFERENCE)
    assert close(merge(a, b), REFERENCE)
    rest = subtract(REFERENCE, b)
    assert rest.columns["delay"].counts == a.columns["delay"].counts
    assert rest.columns["delay"].core_sd == pytest.approx(a.columns["delay"].core_sd, abs=1e-3)
    assert {k: n for k, n in rest.columns["origin"].counts.items() if n} == a.columns[
        "origin"
    ].counts


def test_other_edges_cannot_be_added_up():
    other = profile_of(rows(500))
    with pytest.raises(DataNotFitError, match="Profile the second with edges_from=<the first>"):
        merge(REFERENCE, other)


def test_other_columns_cannot_be_added_up():
    with pytest.raises(DataNotFitError, match=r"only one of the two has \['origin'\]"):
        merge(REFERENCE, profile_of(WHOLE, columns=["delay"], edges_from=REFERENCE))


def test_a_profile_reads_back_as_it_was_written():
    windows = (profile_of(WHOLE.slice(0, 900), edges_from=REFERENCE),)
    whole = replace(REFERENCE, windows=windows)
    assert from_json(json.loads(dumps(to_json(whole)))) == whole


def test_a_profile_of_a_later_format_is_not_read():
    stored = to_json(REFERENCE) | {"format": 99}
    with pytest.raises(StoreError, match="format 99, this version reads 1"):
        from_json(stored)
