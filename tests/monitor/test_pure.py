from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from mlops_dagster.monitor.freshness import judge_data_age, judge_model_age
from mlops_dagster.monitor.spec import DriftSpec, MonitorSpec
from mlops_dagster.monitor.windows import Window, batch_of, complete_windows, new_batches
from mlops_dagster.records import Outcome

NOW = datetime(2013, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_data_is_as_old_as_its_newest_event():
    verdict = judge_data_age(NOW - 2 * DAY, now=NOW, limit=timedelta(hours=36))
    assert verdict.outcome is Outcome.REFUSED
    assert (verdict.hours, verdict.limit_hours) == (48.0, 36.0)
    assert verdict.because == (
        "The newest event in the data is from 2013-04-29 12:00 UTC, 2.0 days ago; "
        "the limit is 36h, passed by 12.0 hours."
    )


def test_an_age_at_its_limit_is_fresh():
    assert judge_data_age(NOW - DAY, now=NOW, limit=DAY).outcome is Outcome.PASSED


def test_what_is_still_to_come_has_no_age_and_is_no_pass():
    verdict = judge_data_age(NOW + DAY, now=NOW, limit=DAY)
    assert verdict.outcome is Outcome.NOT_APPLICABLE
    assert verdict.because.endswith("which is still to come.")


def test_a_time_without_a_zone_is_read_as_utc():
    naive = datetime(2013, 5, 1, 11, tzinfo=None)  # noqa: DTZ001
    assert judge_data_age(naive, now=NOW, limit=DAY).hours == 1.0


@pytest.mark.parametrize(("newest", "limit"), [(None, DAY), (NOW, None)])
def test_an_unknown_age_or_no_limit_is_not_applicable_and_never_a_pass(newest, limit):
    assert judge_data_age(newest, now=NOW, limit=limit).outcome is Outcome.NOT_APPLICABLE


def test_a_model_is_named_with_its_age():
    verdict = judge_model_age(NOW - 40 * DAY, now=NOW, limit=30 * DAY, version="7")
    assert "version 7, serves since" in verdict.because
    assert verdict.outcome is Outcome.REFUSED


def test_windows_are_whole_and_lie_on_one_grid():
    windows = complete_windows(length=7 * DAY, after=datetime(2013, 4, 2, tzinfo=UTC), until=NOW)
    assert [one.label for one in windows] == [
        "2013-04-08 to 2013-04-15",
        "2013-04-15 to 2013-04-22",
        "2013-04-22 to 2013-04-29",
    ]


@pytest.mark.parametrize("end", [NOW, datetime.max.replace(tzinfo=UTC)])
def test_a_sentinel_has_no_windows_after_it_and_ends_none_that_do_not_fit(end):
    last = datetime(9999, 12, 31, tzinfo=UTC)
    assert complete_windows(length=7 * DAY, after=last, until=end) == []
    [window] = complete_windows(length=DAY, after=last - DAY, until=last + DAY / 2)
    assert window.end == last


def test_windows_of_hours_show_their_hours():
    [first, *_] = complete_windows(length=DAY / 24, after=NOW, until=NOW + DAY)
    assert first.label == "2013-05-01 12:00 to 2013-05-01 13:00"


def test_batches_after_the_fitted_ones_are_new_once():
    assert new_batches([3, 1, 2, 4], judged={3}, through=2) == [Window(batch=4)]
    assert new_batches([1, 2], judged=set(), through=None) == [Window(batch=2)]
    assert new_batches([], judged=set(), through=None) == []


def test_a_batch_can_be_read_out_of_a_subject():
    assert batch_of(Window(batch=7).subject("delay")) == 7
    assert batch_of("delay") is None


def test_a_spec_reads_durations_and_refuses_what_makes_no_sense():
    spec = MonitorSpec.model_validate({"freshness": {"max_age": "36h"}, "drift": {"window": "7d"}})
    assert spec.drift == DriftSpec(window=7 * DAY)
    assert spec.freshness.max_age == timedelta(hours=36)
    with pytest.raises(ValidationError, match="minimum_rows"):
        DriftSpec(minimum_rows=5)
    with pytest.raises(ValidationError, match="window"):
        DriftSpec(window="0d")
    with pytest.raises(ValidationError, match="windows"):
        MonitorSpec.model_validate({"drift": {"windows": "7d"}})
