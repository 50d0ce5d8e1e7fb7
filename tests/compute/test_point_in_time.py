"""What was known at a row's time, and nothing later."""

import datetime as dt

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_dagster.compute.local import LocalCompute
from mlops_dagster.compute.point_in_time import join_as_known
from mlops_dagster.errors import DataNotFitError

HOUR = dt.timedelta(hours=1)
START = dt.datetime(2026, 3, 1)  # noqa: DTZ001 - columns without a zone
TIME = pa.timestamp("us")


def at(hour):
    return None if hour is None else START + hour * HOUR


def spine_of(rows):
    """Make rows from (key, hour)."""
    keys, hours = [key for key, _ in rows], [at(hour) for _, hour in rows]
    return pa.table({"k": pa.array(keys, pa.string()), "at": pa.array(hours, TIME)})


def lookup_of(rows):
    """Make facts from (key, hour of the event, hour of being known); the value is the place."""
    return pa.table(
        {
            "k": pa.array([key for key, _, _ in rows], pa.string()),
            "event": pa.array([at(event) for _, event, _ in rows], TIME),
            "known": pa.array([at(known) for _, _, known in rows], TIME),
            "v": pa.array(range(len(rows)), pa.int64()),
            "_batch": pa.array([0] * len(rows), pa.int64()),
        }
    )


def joined(spine, lookup, **changes):
    options = {"name": "w", "key": ["k"], "at": "at", "event_time": "event", "known_at": "known"}
    return join_as_known(LocalCompute(threads=1), spine, lookup, **{**options, **changes})


def values(spine, lookup, **changes):
    return joined(spine, lookup, **changes)["w_v"].to_pylist()


def test_FS2_a_planted_row_dated_after_the_row_never_comes_back():
    spine = spine_of([("a", 5), ("b", 5)])
    honest, planted = ("a", 4, 4), ("a", 6, 4)
    assert values(spine, lookup_of([honest, planted])) == [0, None]
    assert values(spine, lookup_of([planted])) == [None, None]


def test_FS2_a_planted_row_known_after_the_row_never_comes_back():
    spine = spine_of([("a", 5), ("a", 7)])
    assert values(spine, lookup_of([("a", 3, 3), ("a", 4, 6)])) == [0, 1]
    assert values(spine, lookup_of([("a", 4, 6)])) == [None, 0]


def test_FS2_a_correction_counts_from_when_it_became_known():
    spine = spine_of([("a", 5), ("a", 8)])
    assert values(spine, lookup_of([("a", 4, 4), ("a", 4, 7)])) == [0, 1]


def test_a_late_report_of_an_old_event_does_not_hide_a_newer_one():
    assert values(spine_of([("a", 9)]), lookup_of([("a", 4, 4), ("a", 2, 8)])) == [0]


def test_at_the_same_instant_is_known():
    assert values(spine_of([("a", 5)]), lookup_of([("a", 5, 5)])) == [0]


def test_a_nanosecond_too_late_is_too_late():
    spine = pa.table({"k": ["a"], "at": pa.array([1_000], pa.timestamp("ns"))})
    late = pa.table({"k": ["a"], "event": pa.array([1_001], pa.timestamp("ns")), "v": [0]})
    assert values(spine, late, known_at=None) == [None]


def test_a_value_older_than_its_ttl_is_null():
    spine = spine_of([("a", 5), ("a", 6)])
    lookup = lookup_of([("a", 3, 3)])
    assert values(spine, lookup, ttl=2 * HOUR) == [0, None]


def test_without_known_at_a_value_is_known_when_it_happens():
    assert values(spine_of([("a", 5)]), lookup_of([("a", 4, 9)]), known_at=None) == [0]


def test_columns_come_under_the_lookups_name_without_key_times_and_ours():
    table = joined(spine_of([("a", 5)]), lookup_of([("a", 4, 4)]))
    assert table.column_names == ["k", "at", "w_v"]


def test_types_and_dictionaries_stay_as_they_were():
    lookup = lookup_of([("a", 4, 4)]).append_column("s", pa.array(["x"]).dictionary_encode())
    table = joined(spine_of([("a", 5), ("b", 5)]), lookup)
    assert table["w_v"].type == pa.int64()
    assert table["w_s"].type == lookup["s"].type
    assert table["w_s"].to_pylist() == ["x", None]


def test_without_times_it_is_a_join_by_key():
    spine = pa.table({"k": ["b", "a", None, "z"]})
    planes = pa.table({"k": ["a", "b", None, None], "v": [1, 2, 3, 4]})
    assert values(spine, planes, event_time=None, known_at=None) == [2, 1, None, None]


@pytest.mark.parametrize(
    ("spine", "lookup", "options", "message"),
    [
        (
            {"k": ["a"]},
            {"k": ["a", "a"], "v": [1, 2]},
            {"event_time": None, "known_at": None},
            r"2 rows have only 1 different keys \['k'\]",
        ),
        (
            {"k": [1]},
            {"k": ["a"], "v": [1]},
            {"event_time": None, "known_at": None},
            "key 'k' is int64",
        ),
        ({"k": ["a"]}, {"k": ["a"]}, {}, "'at' is missing"),
        ({"k": ["a"], "at": [START]}, {"k": ["a"], "event": [START]}, {}, "'known' is missing"),
        (
            {"k": ["a"], "at": [START]},
            {"k": ["a"], "event": ["x"], "known": [START]},
            {},
            "'event' is string, not a time",
        ),
        (
            {"k": ["a"], "at": [START]},
            {"k": ["a"], "event": [START.replace(tzinfo=dt.UTC)], "known": [START]},
            {},
            "one has a time zone",
        ),
        (
            {"k": ["a"], "at": [START], "w_v": [1]},
            {"k": ["a"], "event": [START], "known": [START], "v": [1]},
            {},
            "would come as 'w_v', which is there already",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(spine, lookup, options, message):
    with pytest.raises(DataNotFitError, match=message):
        joined(pa.table(spine), pa.table(lookup), **options)


@pytest.mark.parametrize("empty", ["spine", "lookup"])
def test_empty_tables_join(empty):
    spine, lookup = spine_of([("a", 5)]), lookup_of([("a", 4, 4)])
    if empty == "spine":
        assert values(spine.slice(0, 0), lookup) == []
    else:
        assert values(spine, lookup.slice(0, 0)) == [None]


KEYS = st.sampled_from(["a", "b", None])
HOURS = st.none() | st.integers(0, 6)


def by_hand(spine, lookup, *, known, ttl):
    """Look at every fact for every row."""
    facts, found = lookup.to_pandas(), []
    for row in spine.to_pandas().itertuples():
        best = None
        for place, fact in enumerate(facts.itertuples()):
            known_at = fact.known if known else fact.event
            if pd.isna(fact.k) or pd.isna(row.k) or fact.k != row.k:
                continue
            if not (fact.event <= row.at and known_at <= row.at):
                continue
            if best is None or (fact.event, known_at, place) > best:
                best = (fact.event, known_at, place)
        stale = best is not None and ttl is not None and row.at - best[0] > ttl
        found.append(None if best is None or stale else best[2])
    return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.tuples(KEYS, HOURS), max_size=8),
    facts=st.lists(st.tuples(KEYS, HOURS, HOURS), max_size=10),
    known=st.booleans(),
    ttl=st.none() | st.integers(0, 4).map(lambda hours: hours * HOUR),
)
def test_it_is_what_looking_at_every_fact_by_hand_gives(rows, facts, known, ttl):
    spine, lookup = spine_of(rows), lookup_of(facts)
    table = joined(spine, lookup, known_at="known" if known else None, ttl=ttl)
    assert table.select(["k", "at"]).equals(spine)
    assert table["w_v"].to_pylist() == by_hand(spine, lookup, known=known, ttl=ttl)
