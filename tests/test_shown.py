import dagster as dg
import pytest

from mlops_dagster.records import Check, Outcome, Shown
from mlops_dagster.shown import check_result, metadata_value


@pytest.mark.parametrize(
    ("outcome", "passed", "told"),
    [
        (Outcome.PASSED, True, "No live answers."),
        (Outcome.REFUSED, False, "No live answers."),
        (Outcome.NOT_APPLICABLE, False, "Not judged: No live answers."),
    ],
)
def test_a_check_that_could_not_be_judged_is_no_pass_and_says_that_it_is_no_failure(
    outcome, passed, told
):
    shown = check_result(Check(name="feature_skew", outcome=outcome, because="No live answers."))
    assert (shown.passed, shown.description) == (passed, told)
    assert (shown.severity is dg.AssetCheckSeverity.WARN) is (outcome is not Outcome.REFUSED)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.123456789, 0.123457), (1234567.8, 1234568.0), (1e-9 / 3, 3.33333e-10), (2.0, 2.0)],
)
def test_a_number_is_shown_in_six_digits_and_none_before_the_point_is_lost(value, shown):
    assert metadata_value(Shown(kind="number", value=value)).value == shown
