"""Live answers of two versions, judged from counts."""

from datetime import UTC, datetime

import pytest

from mlops_dagster.deploy.health import judge
from mlops_dagster.deploy.spec import HealthSpec
from mlops_dagster.stores.traffic import BOUNDS_MS, Traffic, read_traffic, together

AT = datetime(2026, 3, 1, tzinfo=UTC)


def traffic(
    version, *, part="live", requests=1000, errors=0, ms=5, mean=0.3, spread=0.1
) -> Traffic:
    latency = [0] * (len(BOUNDS_MS) + 1)
    latency[BOUNDS_MS.index(ms)] = requests - errors
    scores = requests - errors
    return Traffic(
        version=version, part=part, since=AT, requests=requests, errors=errors, latency=latency,
        scores=scores, total=mean * scores, squares=(mean**2 + spread**2) * scores,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "state", "says"),
    [
        ({}, "well", "1,000 requests: 0.0% failed (0.0% of version 1), 95 % within 5 ms (5 ms)."),
        ({"errors": 15}, "well", "1.5% failed"),
        ({"errors": 60}, "worse", "6.0% of 1,000 requests failed on version 2, 0.0% of 1,000 on"),
        ({"requests": 200, "errors": 4}, "well", "2.0% failed"),
        ({"ms": 8}, "well", "within 8 ms"),
        ({"ms": 20}, "well", "within 20 ms"),
        ({"ms": 50}, "worse", "took up to 50 ms, of version 1 5 ms; 2 times is allowed"),
        ({"mean": 0.35}, "well", "1,000 requests"),
        ({"mean": 0.45}, "worse", "The mean answer is 0.45 on version 2 and 0.3 on version 1"),
        (
            {"requests": 199},
            "few",
            "199 requests answered by it and 1,000 by the other; 200 of each",
        ),
        ({"errors": 1000}, "worse", "100.0% of 1,000 requests failed"),
    ],
)
def test_a_version_is_held_against_the_one_before(changed, state, says):
    verdict = judge(traffic("2", **changed), traffic("1"), HealthSpec())
    assert (verdict.state, says in verdict.because) == (state, True), verdict.because


def test_nobody_to_compare_with_is_no_verdict():
    assert judge(traffic("2"), None, HealthSpec()).state == "few"
    assert judge(None, traffic("1"), HealthSpec()).state == "few"


def test_the_counts_of_all_workers_add_up():
    told = [traffic("2", errors=1), traffic("2", errors=2), traffic("1", part="before")]
    both = together(told, part="live")
    assert both is not None
    assert (both.requests, both.errors, both.scores) == (2000, 3, 1997)
    assert both.mean == pytest.approx(0.3)
    assert both.spread == pytest.approx(0.1)
    assert together(told, part="live", version="3") is None
    assert read_traffic(both.written()) == both
