import numpy as np
import pyarrow as pa
import pytest

from mlops_dagster.monitor.drift import judge_drift
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.profiles.derived import base_of, with_derived
from mlops_dagster.profiles.tables import profile_of
from mlops_dagster.records import Outcome

USUAL = [f"usual{at:02d}" for at in range(30)]
OTHER = [f"other{at:02d}" for at in range(30)]


def texts(rows: int, *, words=USUAL, longest: int = 12, seed: int = 0) -> pa.Table:
    """Sentences of a few words, each with a number of its own."""
    chance = np.random.default_rng(seed)
    made = [
        " ".join([*chance.choice(words, chance.integers(3, longest)), f"id{seed}{at:05d}"])
        for at in range(rows)
    ]
    return pa.table({"note": made})


def times(rows: int, *, hours: tuple[int, int] = (6, 22), seed: int = 0) -> pa.Table:
    chance = np.random.default_rng(seed)
    days = chance.integers(0, 28, rows) + 31 * seed
    moments = np.datetime64("2026-01-05", "h") + days * 24 + chance.integers(*hours, rows)
    return pa.table({"at": moments.astype("datetime64[us]")})


def judged(reference: pa.Table, current: pa.Table):
    before = profile_of(with_derived(reference))
    now = profile_of(with_derived(current, like=before), edges_from=before)
    return {one.column: one for one in judge_drift(before, now, spec=DriftSpec())}


def test_TE1_text_is_judged_by_its_length_and_its_words():
    quiet = judged(texts(4_000), texts(1_000, seed=1))
    assert quiet["note: length"].outcome is Outcome.PASSED
    assert quiet["note: word"].outcome is Outcome.PASSED
    assert quiet["note"].outcome is Outcome.NOT_APPLICABLE
    assert "only length and words are compared" in quiet["note"].because
    longer = judged(texts(4_000), texts(1_000, longest=20, seed=2))
    assert longer["note: length"].outcome is Outcome.REFUSED
    mixed = USUAL[:15] + OTHER[:15]
    other = judged(texts(4_000), texts(1_000, words=mixed, seed=3))
    assert other["note: word"].outcome is Outcome.REFUSED
    assert other["note: length"].outcome is Outcome.PASSED


def test_TE1_a_time_is_judged_by_hour_and_weekday_and_not_by_going_by():
    quiet = judged(times(4_000), times(1_000, seed=1))
    assert sorted(quiet) == ["at: hour", "at: weekday"]
    assert quiet["at: hour"].outcome is Outcome.PASSED
    moved = judged(times(4_000), times(1_000, hours=(14, 24), seed=1))
    assert moved["at: hour"].outcome is Outcome.REFUSED
    assert "JS" in moved["at: hour"].told
    assert "n=1,000 against 4,000" in moved["at: hour"].told


def test_nulls_of_a_text_are_told_once():
    some = texts(1_000, seed=1)["note"].to_pylist()
    current = pa.table({"note": [None if at % 2 else text for at, text in enumerate(some)]})
    found = judged(texts(4_000), current)
    assert [name for name in found if "null share" in name] == ["note: null share"]


def test_a_reference_without_what_is_derived_now_is_compared_as_it_was():
    old = profile_of(times(1_000))
    assert with_derived(times(500), like=old).column_names == ["at"]


@pytest.mark.parametrize("name", ["note: length", "note: word", "note: hour", "note: weekday"])
def test_a_derived_column_belongs_to_its_own(name):
    assert base_of(name) == "note"
