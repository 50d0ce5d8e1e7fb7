import dagster as dg
import pytest

from mlops_dagster.records import Check, Outcome
from mlops_dagster.shown import check_result


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
