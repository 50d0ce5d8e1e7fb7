"""Yes or no to one more training, from facts alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.records import Finding, Outcome
from mlops_dagster.retrain.policy import Situation, decide
from mlops_dagster.retrain.spec import RetrainSpec

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = ModelIdentity(name="churn", task=Task.BINARY, target="left")
POLICY = RetrainSpec(
    triggers=("new_data", "stale_model", "drift", "failed_check"),
    min_new_rows=1_000,
    cooldown=timedelta(days=7),
    max_model_age=timedelta(days=30),
)
LIVE = Situation(
    now=NOW,
    data_version="v1:abc",
    champion="3",
    champion_since=NOW - timedelta(days=10),
    new_rows=0,
    last_retrain=NOW - timedelta(days=10),
    open_run=None,
    findings=(),
)


def alarm(signal: str = "prediction_drift", outcome: Outcome = Outcome.REFUSED) -> Finding:
    return Finding(
        model="churn",
        segment="all",
        signal=signal,
        subject="prediction",
        outcome=outcome,
        value=0.3,
        limit=0.1,
        rows=4_000,
        window_start=NOW - timedelta(days=7),
        window_end=NOW,
        at=NOW,
        because="prediction moved by 0.300 sd (limit 0.100, n = 4,000).",
    )


def but(**changes: object) -> Situation:
    from dataclasses import replace

    return replace(LIVE, **changes)


CASES = {
    "nothing asks": (but(), "none", "Nothing asks for a retrain"),
    "no data": (but(data_version=None), "none", "No accepted data yet"),
    "first model": (but(champion=None, champion_since=None, last_retrain=None), "retrain", "No model was"),
    "enough new rows": (but(new_rows=1_000), "retrain", "1,000 new labelled rows"),
    "one row short": (but(new_rows=999), "none", "999 new labelled rows"),
    "drift, enough rows": (but(new_rows=2_000, findings=(alarm(),)), "retrain", "drift alarm"),
    "drift, few rows": (but(new_rows=5, findings=(alarm(),)), "none", "Only 5 new labelled rows"),
    "feature drift only informs": (but(findings=(alarm("feature_drift"),)), "none", "Nothing asks"),
    "quiet drift finding": (but(findings=(alarm(outcome=Outcome.PASSED),)), "none", "Nothing asks"),
    "stale, but too few rows": (but(champion_since=NOW - timedelta(days=31)), "none", "31 days old"),
    "stale, enough rows": (
        but(champion_since=NOW - timedelta(days=31), new_rows=1_500), "retrain", "1,500 new"),
    "cooldown": (but(new_rows=5_000, last_retrain=NOW - timedelta(days=6)), "none", "Cooldown of 1w"),
    "open run": (but(new_rows=5_000, open_run="run abcdef12"), "none", "still open (run abcdef12)"),
    "failed check": (but(new_rows=5_000, findings=(alarm("failed_check"),)), "retrain", "Check failed"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_decision_and_its_sentence(case):
    situation, action, words = CASES[case]
    decision = decide(MODEL, POLICY, situation)
    assert decision.action == action
    assert words in decision.because


def test_what_is_held_back_is_said():
    decision = decide(MODEL, POLICY, but(findings=(alarm(),), last_retrain=NOW - timedelta(days=1)))
    assert decision.action == "none"
    assert "Held back: 1 drift alarm(s)" in decision.because
    assert "limit 0.100" in decision.because


def test_the_same_facts_give_the_same_run_key():
    first = decide(MODEL, POLICY, but(new_rows=2_000))
    assert (
        first.run_key == decide(MODEL, POLICY, but(new_rows=2_500, now=NOW + timedelta(1))).run_key
    )
    assert (
        first.run_key != decide(MODEL, POLICY, but(new_rows=2_000, data_version="v1:other")).run_key
    )


@given(minutes=st.lists(st.integers(0, 59), min_size=1, max_size=100))
def test_a_hundred_alarms_in_an_hour_start_at_most_one_retrain(minutes):
    last, started = LIVE.last_retrain, 0
    for minute in sorted(minutes):
        now = NOW + timedelta(minutes=minute)
        situation = but(now=now, new_rows=9_000, findings=(alarm(),), last_retrain=last)
        if decide(MODEL, POLICY, situation).action == "retrain":
            last, started = now, started + 1
    assert started == 1
