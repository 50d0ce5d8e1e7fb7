import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from mlops_dagster.cli.main import main
from mlops_dagster.cli.status import lines
from mlops_dagster.cli.status_dagster import daemon_text, sensor_states
from mlops_dagster.cli.status_facts import Fact, by, endpoint_text, findings
from mlops_dagster.clock import wall_now
from mlops_dagster.records import Check, Monitoring, Outcome
from mlops_dagster.stores.accepted import accept
from mlops_dagster.stores.operations import Worker
from mlops_dagster.stores.records import RecordAddress
from mlops_dagster.workbench import Workbench

NOW = wall_now()
FOURTH = Worker(
    worker="a",
    model="churn",
    segment="all",
    address="127.0.0.1:8080",
    version="4",
    problem="",
    pid=71,
    seen_at=NOW,
)
THIRD = replace(FOURTH, worker="b", pid=72, version="3", problem="needs scikit-learn 1.8")


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Workbench:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    for name in ("MLOPS_LAKE", "MLFLOW_TRACKING_URI", "MLOPS_OPERATIONS_URL", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return Workbench(home=tmp_path / "home")


def told(*workers: Worker, silent: tuple[Worker, ...] = (), wanted: str | None = "4") -> str:
    return endpoint_text(wanted, list(workers), list(silent), model="churn")


def test_what_should_serve_is_compared_with_what_answers():
    both = told(FOURTH, replace(FOURTH, worker="c"))
    assert both == "version 4 should serve; 2 of 2 workers answer from it"
    assert told(FOURTH, THIRD) == (
        "version 4 should serve; 1 of 2 workers answers from it; "
        "127.0.0.1:8080 (process 72) answers from version 3: needs scikit-learn 1.8"
    )


def test_a_worker_that_ended_without_a_word_is_told_of():
    text = told(silent=(FOURTH,))
    assert text.startswith("no worker answers; 127.0.0.1:8080 (process 71) is silent since")
    assert text.endswith("start one: mlops-dagster serve churn")
    assert told(wanted=None) == "no version is live, and no worker answers"


def test_status_and_history_are_there_for_programs_too(bench):
    bench.operations.beat(replace(THIRD, seen_at=wall_now() - timedelta(hours=1)))
    (bench.home / "lake/records/churn/all").mkdir(parents=True)
    with bench.operations.hold("run:churn/all:0123456789", holder="0123456789"):
        done = CliRunner().invoke(main, ["status", "churn", "--json"], catch_exceptions=False)
    told = json.loads(done.stdout)
    assert told["champion"] == {"version": None}
    assert told["endpoint"]["should_serve"] is None
    assert [(one["pid"], one["alive"]) for one in told["endpoint"]["workers"]] == [(72, False)]
    assert told["open_run"] == {"working": ["0123456789"], "waiting": []}
    assert told["sensors"] == {"sensors": {}, "daemon_seen_at": None}
    assert told["data"] == {"rows": 0}
    moves = CliRunner().invoke(main, ["history", "churn", "--json"], catch_exceptions=False)
    assert json.loads(moves.stdout) == []


def test_sensors_that_no_daemon_ticks_are_not_passed_off_as_working():
    assert daemon_text(wall_now(), on=True) == ""
    assert daemon_text(None, on=False) == ""
    assert "daemon never ran, so nothing ticks them" in daemon_text(None, on=True)
    old = daemon_text(wall_now() - timedelta(hours=2), on=True)
    assert "daemon is silent since" in old
    assert sensor_states("churn", None) == {}


def test_a_long_fact_goes_on_below_itself_on_a_screen_and_stays_whole_in_a_file():
    fact = Fact(label="champion", text="version 4 " + "because " * 20)
    assert len(list(lines([fact], width=None))) == 1
    first, *more = lines([fact], width=80)
    assert first.startswith("champion    version 4 because")
    assert more
    assert all(one.startswith(" " * 12) and len(one) <= 80 for one in more)


def test_a_run_is_named_by_the_short_form_of_its_id():
    assert by("run 936dcaed-c066-4d48-88a5-2f0ae9d43b34") == "run 936dcaed"
    assert by("ada") == "ada"


def test_status_tells_of_the_checks_that_the_page_shows_alarms_of_earlier_windows_too(bench):
    stands = "No new complete window. The last one: 2014-01-03: temp: W1 0.9 sd, limit 0.3 sd."
    verdicts = [
        ("data_fresh", Outcome.PASSED, "1 h old."),
        ("feature_drift", Outcome.REFUSED, stands),
        ("feature_skew", Outcome.NOT_APPLICABLE, "No live answers yet."),
    ]
    look = Monitoring(
        model="churn",
        segment="all",
        run_id="run1",
        made_at=datetime(2014, 1, 10, tzinfo=UTC),
        recorded_at=NOW,
        data_version="1",
        findings=2,
        alarms=0,
        champion_version="4",
        checks=tuple(Check(name=name, outcome=one, because=told) for name, one, told in verdicts),
    )
    assert [one.text for one in findings(bench, "churn")] == [
        "none yet; the job `monitor` looks for them"
    ]
    place = RecordAddress(
        model="churn", segment="all", noun="monitoring", run_id="run1", step="monitoring"
    )
    path = bench.records.write(place, look)
    accept(bench.records, bench.operations, noun="monitoring", record=look, path=path)
    counts, alarm = findings(bench, "churn")
    assert counts.text == (
        "2014-01-10 00:00  1 over the limit, 1 within it, "
        "1 could not be judged, such as feature_skew: No live answers yet."
    )
    assert (counts.values["looks"], counts.values["alarms"]) == (3, 1)
    assert alarm.text == f"feature_drift: {stands}"
