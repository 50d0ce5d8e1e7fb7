from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlops_dagster.monitor.drift import judge_drift
from mlops_dagster.monitor.limits import Limits
from mlops_dagster.monitor.spec import DriftSpec
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.reference import answers_profile
from mlops_dagster.profiles.tables import profile_of
from mlops_dagster.records import Outcome

SPEC = DriftSpec()
RNG = np.random.default_rng(17)
LABELS = ("LGA", "JFK", "EWR")


@pytest.fixture(autouse=True)
def _same_numbers_whatever_ran_before():
    RNG.bit_generator.state = np.random.default_rng(17).bit_generator.state


def rows(n, *, shift=0.0, rng=RNG):
    return pa.table(
        {
            "delay": rng.normal(size=n) + shift,
            "distance": rng.lognormal(size=n),
            "hour": rng.integers(5, 23, size=n),
            "origin": rng.choice(LABELS, size=n, p=[0.5, 0.3, 0.2]),
            "weekend": rng.random(n) < 2 / 7,
        }
    )


@pytest.fixture(scope="module")
def reference():
    return profile_of(rows(50_000, rng=np.random.default_rng(1)))


def judge(reference, current, spec=SPEC, **options):
    found = judge_drift(reference, profile_of(current, edges_from=reference), spec=spec, **options)
    return {verdict.column: verdict for verdict in found}


def test_TE1_per_feature_drift_has_test_threshold_and_sample_size(reference):
    found = judge(reference, rows(1_000, shift=0.25))
    delay = found["delay"]
    assert delay.outcome is Outcome.REFUSED
    assert delay.measure == "w1_sd"
    assert delay.value == pytest.approx(0.25, abs=0.08)
    assert 0 < delay.limit < 0.25
    assert (delay.rows, delay.reference_rows) == (1_000, 50_000)
    assert "limit" in delay.because
    assert "n=1,000 against 50,000" in delay.because
    assert all(
        verdict.outcome is Outcome.PASSED for name, verdict in found.items() if name != "delay"
    )


def test_a_hundred_quiet_windows_alarm_about_as_often_as_declared(reference):
    limits = Limits(reference, SPEC)
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(100):
        found = judge(reference, rows(1_000, rng=rng), limits=limits)
        alarms += any(verdict.outcome is Outcome.REFUSED for verdict in found.values())
    assert alarms <= 4


@pytest.mark.parametrize("n", [300, 5_000])
def test_quiet_windows_of_other_sizes_do_not_alarm(reference, n):
    rng = np.random.default_rng(n)
    limits = Limits(reference, SPEC)
    found = [judge(reference, rows(n, rng=rng), limits=limits) for _ in range(10)]
    assert not [v for one in found for v in one.values() if v.outcome is Outcome.REFUSED]


def test_a_quarter_sd_shift_is_seen_in_each_of_ten_windows(reference):
    limits = Limits(reference, SPEC)
    seen = [judge(reference, rows(1_000, shift=0.25), limits=limits)["delay"] for _ in range(10)]
    assert all(verdict.outcome is Outcome.REFUSED for verdict in seen)


def test_too_few_rows_are_not_applicable_and_never_a_pass(reference):
    found = judge(reference, rows(299))
    assert {verdict.outcome for verdict in found.values()} == {Outcome.NOT_APPLICABLE}
    assert "the window has 299 rows, fewer than the 300 needed" in found["delay"].because


def test_a_column_that_became_null_alarms_by_its_null_share(reference):
    current = rows(1_000).drop_columns(["delay"]).append_column("delay", pa.nulls(1_000))
    found = judge(reference, current)
    assert found["delay"].outcome is Outcome.NOT_APPLICABLE
    assert "only 0 of 1,000 rows have a value" in found["delay"].because
    assert found["delay: null share"].outcome is Outcome.REFUSED
    assert found["delay: null share"].severity == "major"


def test_a_column_that_is_gone_is_not_applicable(reference):
    found = judge(reference, rows(1_000).drop_columns(["delay"]))
    assert found["delay"].outcome is Outcome.NOT_APPLICABLE
    assert "the column is not in this window's rows" in found["delay"].because


def test_one_null_where_there_were_none_is_no_alarm(reference):
    delays = [None, *RNG.normal(size=999)]
    current = rows(1_000).drop_columns(["delay"]).append_column("delay", pa.array(delays))
    assert judge(reference, current)["delay: null share"].outcome is Outcome.PASSED


def test_a_new_category_is_named(reference):
    current = rows(1_000).drop_columns(["origin"])
    origins = RNG.choice([*LABELS, "SWF"], size=1_000, p=[0.45, 0.25, 0.2, 0.1])
    verdict = judge(reference, current.append_column("origin", pa.array(origins)))["origin"]
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.new_labels == ("SWF",)
    assert "new: SWF" in verdict.because


def test_a_constant_column_that_moves_alarms():
    reference = profile_of(pa.table({"year": np.full(5_000, 2013)}))
    for year in (2012, 2014):
        verdict = judge(reference, pa.table({"year": np.full(500, year)}))["year"]
        assert verdict.outcome is Outcome.REFUSED
        assert verdict.measure == "js"
    same = judge(reference, pa.table({"year": np.full(500, 2013)}))["year"]
    assert (same.outcome, same.value) == (Outcome.PASSED, 0.0)


@pytest.mark.parametrize("value", [-100.0, 100.0])
def test_values_all_beyond_the_reference_alarm(reference, value):
    current = rows(1_000).drop_columns(["delay"]).append_column("delay", pa.array([value] * 1_000))
    verdict = judge(reference, current)["delay"]
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.severity == "major"
    assert verdict.value > 3


@pytest.mark.parametrize("where", ["reference", "current"])
def test_one_absurd_row_changes_no_distance_by_more_than_one_percent(where):
    sides = {"reference": RNG.normal(size=20_000), "current": RNG.normal(size=5_000) + 0.25}
    bent = {name: values.copy() for name, values in sides.items()}
    bent[where][0] = 1e6
    plain, absurd = (
        judge(profile_of(pa.table({"x": one["reference"]})), pa.table({"x": one["current"]}))["x"]
        for one in (sides, bent)
    )
    for name in ("value", "psi", "js", "ks"):
        assert getattr(absurd, name) == pytest.approx(getattr(plain, name), rel=0.01)


def test_text_is_not_compared_and_says_so():
    reference = profile_of(pa.table({"note": [f"note {i}" for i in range(2_000)]}))
    verdict = judge(reference, pa.table({"note": [f"other {i}" for i in range(500)]}))["note"]
    assert verdict.outcome is Outcome.NOT_APPLICABLE
    assert "text or nested" in verdict.because


def test_few_reference_windows_are_said(reference):
    verdict = judge(reference, rows(1_000))["delay"]
    assert "fewer than 20 windows" in verdict.because


def test_windows_that_always_differed_widen_the_limit():
    rng = np.random.default_rng(4)
    parts = [pa.table({"temp": rng.normal(size=1_000) + rng.normal() * 0.3}) for _ in range(25)]
    whole = profile_of(pa.concat_tables(parts))
    windows = tuple(profile_of(part, edges_from=whole) for part in parts)
    cut = TableProfile(rows=whole.rows, columns=whole.columns, windows=windows)
    current = pa.table({"temp": rng.normal(size=1_000) + 0.3})
    assert judge(whole, current)["temp"].outcome is Outcome.REFUSED
    judged = judge(cut, current)["temp"]
    assert judged.outcome is Outcome.PASSED
    assert "chance alone" not in judged.because


def test_columns_and_exclude_say_which_features_are_compared(reference):
    assert set(judge(reference, rows(500), DriftSpec(columns=("delay",)))) == {"delay"}
    assert "delay" not in judge(reference, rows(500), DriftSpec(exclude=("delay",)))


def test_the_worst_column_comes_first(reference):
    current = profile_of(rows(1_000, shift=1.0), edges_from=reference)
    assert judge_drift(reference, current, spec=SPEC)[0].column == "delay"


def test_answers_that_wobble_from_week_to_week_alarm_rarely_after_a_holdout_of_two_weeks():
    rng = np.random.default_rng(5)

    def week(shift=0.0):
        return pa.table({"probability": rng.normal(0.3 * rng.normal() + shift, size=1_000)})

    alarms = seen = known = 0
    for _ in range(20):
        weeks = [week() for _ in range(30)]
        start = datetime(2026, 1, 5, tzinfo=UTC)
        times = [start + timedelta(days=7 * at) for at in range(30) for _ in range(1_000)]
        reference = answers_profile(
            pa.concat_tables(weeks[-2:]),
            pa.concat_tables(weeks),
            event_times=pa.array(times),
            window=timedelta(days=7),
        )
        limits = Limits(reference, SPEC, apart=True)
        for _ in range(10):
            [quiet] = judge(reference, week(), limits=limits).values()
            alarms += quiet.outcome is Outcome.REFUSED
            known += "chance alone" not in quiet.because
        [moved] = judge(reference, week(shift=2.0), limits=limits).values()
        seen += moved.outcome is Outcome.REFUSED
    assert known == 200
    assert alarms <= 10
    assert seen >= 19
