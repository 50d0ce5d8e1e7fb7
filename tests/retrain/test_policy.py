"""Yes or no to one more training, from facts alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.records import Finding, Outcome
from mlops_dagster.retrain.policy import Situation, decide
from mlops_dagster.retrain.spec import RetrainSpec

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = ModelIdentity(name="churn", task=Task.BINARY, target="left")
POLICY = RetrainSpec(
    triggers=("new_data", "stale_model", "drift", "performance", "failed_check"),
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


def alarm(
    signal: str = "prediction_drift",
    outcome: Outcome = Outcome.REFUSED,
    *,
    severity: str = "moderate",
) -> Finding:
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
        severity=severity,
    )


def drift_in(*windows: int, outcome: Outcome = Outcome.REFUSED) -> tuple[Finding, ...]:
    """Drift findings of windows that ended so many weeks after NOW."""
    ends = [NOW + timedelta(weeks=week) for week in windows]
    return tuple(replace(alarm(outcome=outcome), window_end=end) for end in ends)


def but(**changes: object) -> Situation:
    return replace(LIVE, **changes)


CASES = {
    "nothing asks": (but(), "none", "Nothing asks for a retrain"),
    "no data": (but(data_version=None), "none", "No accepted data yet"),
    "first model": (but(champion=None, champion_since=None, last_retrain=None), "retrain", "No model was"),
    "enough new rows": (but(new_rows=1_000), "retrain", "1,000 new labelled rows"),
    "one row short": (but(new_rows=999), "none", "999 new labelled rows"),
    "drift, enough rows": (but(new_rows=2_000, findings=(alarm(),)), "retrain", "drift alarm"),
    "drift, few rows": (but(new_rows=5, findings=(alarm(),)), "none", "Only 5 new labelled rows"),
    "minor drift only informs": (
        but(new_rows=2, findings=(alarm(severity="minor"),)), "none", "1 minor alarm(s) only inform"),
    "feature drift only informs": (but(findings=(alarm("feature_drift"),)), "none", "Nothing asks"),
    "quiet drift finding": (but(findings=(alarm(outcome=Outcome.PASSED),)), "none", "Nothing asks"),
    "stale, but too few rows": (but(champion_since=NOW - timedelta(days=31)), "none", "31 days old"),
    "stale, enough rows": (
        but(champion_since=NOW - timedelta(days=31), new_rows=1_500), "retrain", "1,500 new"),
    "cooldown": (but(new_rows=5_000, last_retrain=NOW - timedelta(days=6)), "none", "Cooldown of 1w"),
    "open run": (but(new_rows=5_000, open_run="run abcdef12"), "none", "still open (run abcdef12)"),
    "budget used up": (
        but(new_rows=5_000, retrains=(NOW - timedelta(days=8),) * 3 + (NOW - timedelta(days=6),) * 7),
        "none", "budget of 7 retrain(s) a week is used up until 2026-03-02"),
    "labelled loss": (
        but(new_rows=5_000, findings=(alarm("performance"),)), "retrain", "Labelled loss over its limit"),
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


WINDOWS = {
    "two of three, one alarms": (drift_in(1) + drift_in(2, 3, outcome=Outcome.PASSED), "none"),
    "two of three, two alarm": (drift_in(1, 3) + drift_in(2, outcome=Outcome.PASSED), "retrain"),
    "two of three, both long ago": (drift_in(1, 2) + drift_in(3, 4, outcome=Outcome.PASSED), "none"),
    "two alarms of one window": (drift_in(1, 1), "none"),
}  # fmt: skip


@pytest.mark.parametrize("case", WINDOWS)
def test_drift_asks_when_k_of_the_last_n_windows_alarm(case):
    findings, action = WINDOWS[case]
    policy = RetrainSpec(triggers=("drift",), alarm_windows=2, of_windows=3)
    decision = decide(MODEL, policy, but(new_rows=9_000, findings=findings))
    assert decision.action == action


def test_drift_in_too_few_windows_is_told_with_its_numbers():
    policy = RetrainSpec(triggers=("drift",), alarm_windows=2, of_windows=3)
    decision = decide(MODEL, policy, but(new_rows=9_000, findings=drift_in(1)))
    assert (
        "Held back: 1 drift alarm(s) since the last training, in 1 of the last 3"
        in decision.because
    )
    assert decision.evidence["alarms"] == 1


def test_more_windows_than_are_looked_at_are_refused():
    with pytest.raises(ValueError, match="3 of the last 2 windows is never reached"):
        RetrainSpec(alarm_windows=3, of_windows=2)


POLICIES = st.builds(
    RetrainSpec,
    triggers=st.sets(st.sampled_from(["drift", "failed_check", "new_data", "performance"]), min_size=1)
    .map(tuple),
    min_new_rows=st.integers(0, 5),
    cooldown=st.timedeltas(timedelta(hours=1), timedelta(days=30)),
    most_per_week=st.integers(1, 100),
    drift_severity=st.sampled_from(["minor", "moderate", "major"]),
    drift_signals=st.just(("feature_drift", "prediction_drift")),
)  # fmt: skip
ALARMS = st.lists(
    st.tuples(
        st.integers(0, 3_599),
        st.sampled_from(["feature_drift", "prediction_drift", "performance", "failed_check"]),
        st.sampled_from(["minor", "moderate", "major"]),
    ),
    min_size=100,
    max_size=130,
)


@settings(max_examples=60, deadline=None)
@given(policy=POLICIES, alarms=ALARMS, run_length=st.integers(1, 7_200), rows=st.integers(0, 9))
def test_TE7_a_hundred_alarms_in_an_hour_start_at_most_one_retrain(
    policy, alarms, run_length, rows
):
    last, started, found = LIVE.last_retrain, [], []
    for second, signal, severity in sorted(alarms):
        now = NOW + timedelta(seconds=second)
        found.append(alarm(signal, severity=severity))
        open_run = started and now < started[-1] + timedelta(seconds=run_length)
        decision = decide(
            MODEL,
            policy,
            but(now=now, new_rows=rows, findings=tuple(found), last_retrain=last,
                retrains=tuple(started), open_run="run ab" if open_run else None),
        )  # fmt: skip
        if decision.action == "retrain":
            last = now
            started.append(now)
            found = []
        elif decision.evidence["alarms"] and "drift" in policy.triggers:
            assert f"{decision.evidence['alarms']} drift alarm(s)" in decision.because
    assert len(started) <= 1
