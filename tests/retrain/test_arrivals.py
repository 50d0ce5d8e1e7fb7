"""Yes or no to taking in new rows, from facts alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.retrain.arrivals import Arrival, decide_update

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = ModelIdentity(name="churn", task=Task.BINARY, target="left")
QUIET = Arrival(
    now=NOW,
    state="one",
    seen="one",
    asked="one",
    newest=NOW - timedelta(hours=1),
    max_age=timedelta(days=2),
    last_update=NOW - timedelta(hours=1),
    open_run=None,
    overdue_asked_for=None,
)
OLD = NOW - timedelta(days=5)
OLD_TWICE = f"{OLD.isoformat()}+2"
CASES = {
    "nothing new": ({}, "none", "Nothing new"),
    "a new state": ({"state": "two"}, "update", "has changed."),
    "a new state, open run": ({"state": "two", "open_run": "run ab"}, "none", "run ab is still open"),
    "a state whose runs failed": ({"state": "two", "asked": "two"}, "none", "one more comes later"),
    "overdue": ({"newest": OLD}, "update", "120.0 h old (limit 2d)"),
    "overdue, open run": ({"newest": OLD, "open_run": "run ab"}, "none", "run ab is still open"),
    "overdue, asked": ({"newest": OLD, "overdue_asked_for": OLD_TWICE}, "none", "nothing newer"),
    "overdue, asked a period ago": (
        {"newest": OLD, "overdue_asked_for": f"{OLD.isoformat()}+1"}, "update", "120.0 h old"),
    "no age declared": ({"newest": OLD, "max_age": None}, "none", "Nothing new"),
    "no state, no data": (
        {"state": None, "newest": None, "last_update": None}, "update", "No data was taken in yet"),
    "no state, no data, no age": (
        {"state": None, "newest": None, "last_update": None, "max_age": None},
        "update", "No data was taken in yet"),
    "no state, an update brought nothing": (
        {"state": None, "newest": None, "last_update": None, "overdue_asked_for": "never+1"},
        "update", "No data was taken in yet"),
    "no state, rows without a time": (
        {"state": None, "newest": None, "last_update": OLD}, "update", "read 120.0 h ago (limit 2d)"),
    "no state, rows without a time, read lately": (
        {"state": None, "newest": None}, "none", "cannot tell whether it changed"),
    "no state, no age declared": (
        {"state": None, "max_age": None}, "none", "a schedule or a person starts its updates"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_decision_and_its_sentence(case):
    changes, action, words = CASES[case]
    decision = decide_update(MODEL, replace(QUIET, **changes))
    assert decision.action == action
    assert words in decision.because


def test_the_no_to_old_data_is_the_same_sentence_an_hour_later():
    asked = replace(QUIET, newest=OLD, overdue_asked_for=OLD_TWICE)
    later = replace(asked, now=NOW + timedelta(hours=1))
    assert decide_update(MODEL, asked).because == decide_update(MODEL, later).because
