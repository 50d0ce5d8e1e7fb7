import base64
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.errors import SpecError, StoreError
from mlops_dagster.monitor.due import judged_before, state_of
from mlops_dagster.monitor.spec import DriftSpec, MonitorSpec
from mlops_dagster.records import Outcome, Severity
from tests.monitor.conftest import SPEC, START, WEEK, week_of_rows

FITTED = [week_of_rows(number) for number in range(4)]


def begin(shop, *later, **options):
    """Weeks 0 to 3 were fitted on, `later` came after; the clock is at the end of the last."""
    validated = shop.arrive(*FITTED, *later)
    shop.crown("1", *FITTED)
    shop.at(START + WEEK * (4 + len(later)))
    return shop.look(end_of(shop, validated, 4 + len(later)), **options)


def end_of(shop, validated, weeks):
    """The source has told of the end of the last week."""
    return replace(validated, newest=START + WEEK * weeks)


def checks_of(record):
    return {check.name: check for check in record.checks}


def test_quiet_weeks_raise_no_alarm(shop):
    record = begin(shop, week_of_rows(4), week_of_rows(5))
    checks = checks_of(record)
    assert checks["feature_drift"].outcome is Outcome.PASSED
    assert checks["prediction_drift"].outcome is Outcome.PASSED
    assert record.outcome is Outcome.PASSED
    assert record.alarms == 0
    assert record.champion_version == "1"
    assert record.shown["windows"].value == 2
    assert record.shown["rows_judged"].value == 1_200


def test_a_champion_that_was_fitted_on_a_row_of_a_sentinel_is_watched(shop):
    weeks = [week_of_rows(number) for number in range(5)]
    weeks = [one.assign(at=one["at"].astype("datetime64[us, UTC]")) for one in weeks]
    weeks[3].loc[0, "at"] = pd.Timestamp("9999-12-31", tz="UTC")
    validated = shop.arrive(*weeks)
    shop.crown("1", *weeks[:4])
    shop.at(START + WEEK * 5)
    record = shop.look(validated)
    check = checks_of(record)["feature_drift"]
    assert check.outcome is Outcome.PASSED
    assert (
        "1 row(s) are dated after now, up to 9999-12-31" in checks_of(record)["data_fresh"].because
    )


def test_TE1_per_feature_drift_has_test_threshold_and_sample_size(shop):
    record = begin(shop, week_of_rows(4, shift=0.6))
    check = checks_of(record)["feature_drift"]
    assert check.outcome is Outcome.REFUSED
    assert check.severity is Severity.WARNING
    assert "1 of 1 window(s) drifted" in check.because
    assert "2013-02-04 to 2013-02-11: delay: W1 0." in check.because
    assert "limit 0." in check.because
    assert "n=600 against 2,400" in check.because
    delay, origin = sorted(shop.findings("feature_drift"), key=lambda one: one.subject)
    assert (delay.subject, delay.outcome, delay.rows) == ("delay", Outcome.REFUSED, 600)
    assert 0 < delay.limit < delay.value < 1
    assert (origin.subject, origin.outcome) == ("origin", Outcome.PASSED)
    assert (delay.window_start, delay.window_end) == (START + WEEK * 4, START + WEEK * 5)
    table = record.shown["worst_columns"].value
    assert "| delay | 2013-02-04 to 2013-02-11 | W1 / sd |" in table


def test_TE2_prediction_drift_is_found_from_the_champions_answers_to_the_same_rows(shop):
    record = begin(shop, week_of_rows(4, shift=0.6))
    check = checks_of(record)["prediction_drift"]
    assert check.outcome is Outcome.REFUSED
    assert "by the champion's answers to the same 600 rows: probability: W1" in check.because
    found = {one.subject: one for one in shop.findings("prediction_drift")}
    assert set(found) == {"prediction", "probability"}
    assert found["probability"].severity == "major"


def test_TE2_prediction_drift_is_found_from_stored_predictions_when_there_are_some(shop):
    rows = week_of_rows(4)
    stored = pa.table(
        {
            "at": pa.array(rows["at"]),
            "prediction": [1] * 600,
            "probability": [0.9] * 600,
            "model_version": ["1"] * 600,
            "role": ["batch"] * 600,
        }
    )
    shop.context.bench.tables.append("shop/all/predictions", stored)
    check = checks_of(begin(shop, rows))["prediction_drift"]
    assert check.outcome is Outcome.REFUSED
    assert "by 600 stored predictions" in check.because


def test_a_picture_of_the_worst_columns_is_small_enough_for_an_event(shop):
    record = begin(shop, week_of_rows(4, shift=0.6))
    text = record.shown["picture"].value
    assert text.startswith("![drift](data:image/png;base64,")
    assert len(text) < 100_000
    image = base64.b64decode(text.split("base64,")[1].rstrip(")"))
    assert image.startswith(b"\x89PNG")


def test_too_few_rows_are_not_applicable_and_never_a_pass(shop):
    record = begin(shop, week_of_rows(4, rows=120))
    check = checks_of(record)["feature_drift"]
    assert check.outcome is Outcome.NOT_APPLICABLE
    assert "the window has 120 rows, fewer than the 300 needed" in check.because
    assert [one.outcome for one in shop.findings("prediction_drift")] == [Outcome.NOT_APPLICABLE]


def test_without_a_champion_only_the_age_of_the_data_is_judged(shop):
    validated = shop.arrive(*FITTED)
    shop.at(START + WEEK * 4)
    record = shop.look(validated)
    checks = checks_of(record)
    assert checks["data_fresh"].outcome is Outcome.PASSED
    for name in ("model_fresh", "feature_drift", "prediction_drift"):
        assert checks[name].outcome is Outcome.NOT_APPLICABLE
        assert "There is no champion yet" in checks[name].because
    assert [one.signal for _, one in shop.context.bench.operations.findings("shop", "all")] == [
        "data_age"
    ]
    assert record.champion_version is None


def test_what_was_judged_before_are_the_drift_findings_with_this_champion(shop):
    begin(shop, week_of_rows(4))
    before = judged_before(shop.context, version="1")
    assert {one.signal for one in before} == {"feature_drift", "prediction_drift"}
    assert judged_before(shop.context, version="2") == []
    assert judged_before(shop.context, version=None) == []


def test_without_drift_declared_the_checks_say_so(shop):
    record = begin(shop, week_of_rows(4), spec=MonitorSpec())
    assert "model_fresh" not in checks_of(record)
    [age] = shop.findings("model_age")
    assert age.because.endswith("no limit is declared under monitor.freshness.")
    assert "monitor.drift is not declared" in checks_of(record)["feature_drift"].because


def test_a_column_that_became_null_alarms(shop):
    rows = week_of_rows(4)
    rows["origin"] = None
    begin(shop, rows)
    found = {one.subject: one for one in shop.findings("feature_drift")}
    assert found["origin"].outcome is Outcome.NOT_APPLICABLE
    assert found["origin: null share"].outcome is Outcome.REFUSED


def test_a_new_category_is_named(shop):
    rows = week_of_rows(4)
    rows.loc[:99, "origin"] = "SWF"
    check = checks_of(begin(shop, rows))["feature_drift"]
    assert "new: SWF" in check.because


def test_each_window_is_judged_once_with_a_champion_and_again_with_the_next(shop):
    begin(shop, week_of_rows(4))
    validated = end_of(shop, shop.arrive(week_of_rows(5)), 6)
    shop.at(START + WEEK * 6)
    assert shop.look(validated).shown["windows"].value == 1
    again = shop.look(validated)
    assert again.shown["windows"].value == 0
    check = checks_of(again)["feature_drift"]
    assert check.outcome is Outcome.PASSED
    assert "No new complete window. The last one: 2013-02-11" in check.because
    shop.crown("2", *FITTED)
    assert shop.look(validated).shown["windows"].value == 2


def test_a_window_waits_until_clock_and_data_have_passed_its_end(shop):
    validated = shop.arrive(*FITTED, week_of_rows(4))
    shop.crown("1", *FITTED)
    shop.at(START + WEEK * 5 - timedelta(hours=1))
    assert shop.look(end_of(shop, validated, 6)).shown["windows"].value == 0
    shop.at(START + WEEK * 6)
    assert shop.look(validated).shown["windows"].value == 0
    assert shop.look(end_of(shop, validated, 5)).shown["windows"].value == 1


def test_at_most_the_declared_number_of_windows_is_judged_and_the_next_run_goes_on(shop):
    spec = SPEC.model_copy(update={"drift": DriftSpec(window=WEEK, most_windows=1)})
    first = begin(shop, week_of_rows(4), week_of_rows(5), spec=spec)
    assert (first.shown["windows"].value, first.shown["windows_left"].value) == (1, 1)
    second = shop.look(end_of(shop, shop.arrive(), 6), spec)
    assert second.shown["judged"].value.startswith("2013-02-11")


def test_since_judges_windows_again(open_shop):
    first = open_shop()
    begin(first, week_of_rows(4), week_of_rows(5))
    again = open_shop(config={"since": (START + WEEK * 4).isoformat()})
    assert again.look(end_of(again, again.arrive(), 6)).shown["windows"].value == 2


def test_since_that_is_no_time_says_how_to_write_it(open_shop):
    shop = open_shop(config={"since": "monday"})
    with pytest.raises(SpecError, match="since is 'monday', no ISO 8601 time"):
        begin(shop, week_of_rows(4))


def test_old_data_and_an_old_champion_are_refused_by_the_clock(shop):
    validated = shop.arrive(*FITTED)
    shop.crown("1", *FITTED)
    shop.at(START + timedelta(days=90))
    record = shop.look(validated)
    checks = checks_of(record)
    assert checks["data_fresh"].outcome is Outcome.REFUSED
    assert "the limit is 36h, passed by" in checks["data_fresh"].because
    assert checks["model_fresh"].outcome is Outcome.REFUSED
    assert "version 1, serves since 2013-01-07" in checks["model_fresh"].because
    [age] = shop.findings("data_age")
    assert age.limit == 36
    assert age.value > 36
    assert record.alarms == 2


def test_a_model_without_event_time_is_judged_batch_by_batch(open_shop):
    shop = open_shop(event_time=None)
    weeks = [week_of_rows(number).drop(columns=["at"]) for number in range(5)]
    moved = week_of_rows(5, shift=0.6).drop(columns=["at"])
    validated = shop.arrive(*weeks, moved)
    shop.crown("1", *weeks[:4], through=4)
    record = shop.look(validated)
    assert record.shown["judged"].value == "batch 5 … batch 6"
    check = checks_of(record)["feature_drift"]
    assert check.outcome is Outcome.REFUSED
    assert record.shown["new_alarms"].value > 0
    assert "batch 6: delay: W1" in check.because
    assert checks_of(record)["data_fresh"].outcome is Outcome.NOT_APPLICABLE
    again = shop.look(validated)
    assert again.shown["windows"].value == 0
    assert again.shown["new_alarms"].value == 0
    assert (
        "No new complete window. The last one: batch 6: delay"
        in checks_of(again)["feature_drift"].because
    )


def test_a_champion_without_a_profile_says_the_way_out(shop):
    validated = shop.arrive(*FITTED)
    shop.crown("1", *FITTED)
    (shop.folder / "1" / "profile.json").unlink()
    with pytest.raises(StoreError, match="Train and register the model with this package"):
        shop.look(validated)


def test_lookups_are_joined_before_features_are_made(shop):
    def join(_context, rows, _snapshot):
        frame = rows.to_pandas()
        return pa.Table.from_pandas(frame.assign(delay=frame["delay"] + 5))

    record = begin(shop, week_of_rows(4), join=join)
    assert checks_of(record)["feature_drift"].outcome is Outcome.REFUSED


def test_the_same_work_has_the_same_state_and_new_rows_or_windows_another(shop):
    validated = shop.arrive(*FITTED, week_of_rows(4))
    shop.crown("1", *FITTED)
    shop.at(START + WEEK * 5)
    validated = end_of(shop, validated, 5)
    before = state_of(shop.context, SPEC, validated)
    shop.look(validated)
    assert state_of(shop.context, SPEC, validated) == before
    shop.at(START + WEEK * 5 + timedelta(hours=1))
    assert state_of(shop.context, SPEC, validated) == before
    shop.at(START + WEEK * 8)
    assert state_of(shop.context, SPEC, validated) != before


def test_work_that_was_left_over_is_other_work(shop):
    spec = SPEC.model_copy(update={"drift": DriftSpec(window=WEEK, most_windows=1)})
    validated = shop.arrive(*FITTED, week_of_rows(4), week_of_rows(5))
    shop.crown("1", *FITTED)
    shop.at(START + WEEK * 6)
    validated = end_of(shop, validated, 6)
    first = state_of(shop.context, spec, validated)
    shop.look(validated, spec)
    second = state_of(shop.context, spec, validated)
    shop.look(validated, spec)
    assert first != second
    assert state_of(shop.context, spec, validated) == second


def test_a_few_stored_predictions_do_not_stand_for_the_window(shop):
    rows = week_of_rows(4)
    few = {"prediction": [1] * 9, "probability": [0.9] * 9, "model_version": ["1"] * 9}
    stored = pa.table({"at": pa.array(rows["at"][:9]), **few, "role": ["batch"] * 9})
    shop.context.bench.tables.append("shop/all/predictions", stored)
    check = checks_of(begin(shop, rows))["prediction_drift"]
    assert "the champion's answers to the same 600 rows" in check.because


def test_a_mistyped_year_does_not_make_old_data_look_new(shop):
    typed = week_of_rows(4)
    typed.loc[0, "at"] = START + WEEK * 2_000
    validated = replace(shop.arrive(*FITTED, typed), newest=START + WEEK * 2_000)
    shop.crown("1", *FITTED)
    shop.at(START + WEEK * 6)
    spec = MonitorSpec(freshness={"max_age": "3d"})
    age = checks_of(shop.look(validated, spec=spec))["data_fresh"]
    assert age.outcome is Outcome.REFUSED
    assert "is from 2013-02-1" in age.because
