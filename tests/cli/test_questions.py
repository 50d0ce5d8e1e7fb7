import json
import os
import pty
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from mlops_dagster.cli.main import main
from mlops_dagster.records import Decision, Finding, Move, Outcome
from mlops_dagster.workbench import Workbench, open_workbench

MAY, JUNE = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Workbench:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    for name in ("MLOPS_LAKE", "MLFLOW_TRACKING_URI", "MLOPS_OPERATIONS_URL", "MLOPS_CLOCK"):
        monkeypatch.delenv(name, raising=False)
    return Workbench(home=tmp_path / "home")


def ask(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


def promote(bench: Workbench, before: str | None, after: str, *, at: datetime, why: str) -> None:
    opened = bench.operations.open_move(
        Move(
            model="churn",
            segment="all",
            registered_name="churn",
            from_version=before,
            to_version=after,
            who="ada",
            why=why,
            kind="promotion",
            state="open",
            at=at,
            recorded_at=at,
        )
    )
    bench.operations.close_move(opened.id, state="done")


def test_the_history_has_who_what_why_and_when(bench):
    promote(bench, None, "1", at=MAY, why="The first version.")
    promote(bench, "1", "2", at=JUNE, why="Log-loss is lower by 0.02.")
    assert ask("history", "churn").output.splitlines() == [
        "2024-05-01 00:00  - -> 1     promotion by ada: The first version.",
        "2024-06-01 00:00  1 -> 2     promotion by ada: Log-loss is lower by 0.02.",
    ]


def test_MR4_the_history_tells_which_version_was_live_at_a_time_who_put_it_there_and_why(bench):
    promote(bench, None, "1", at=MAY, why="The first version.")
    promote(bench, "1", "2", at=JUNE, why="Better.")
    assert ask("history", "churn", "--at", "2024-05-15").output == (
        "churn: version 1 served at 2024-05-15, put there 2024-05-01 00:00 by ada: The first version.\n"
    )
    assert "version 2 served" in ask("history", "churn", "--at", "2024-06-01T02:00+02:00").output
    assert "no version served" in ask("history", "churn", "--at", "2024-04-15").output
    [live] = json.loads(ask("history", "churn", "--at", "2024-06-15", "--json").output)
    assert (live["to_version"], live["who"], live["why"]) == ("2", "ada", "Better.")


def test_a_time_that_is_none_is_refused(bench):
    result = ask("history", "churn", "--at", "yesterday")
    assert result.exit_code == 1
    assert "'yesterday' is no ISO 8601 time" in result.stderr


def decide(bench: Workbench, action: str, because: str, *, at: datetime) -> None:
    bench.operations.add_decision(
        Decision(
            model="churn", segment="all", action=action, reason="new_data", because=because, at=at
        )
    )


def test_a_model_that_was_never_live_says_so(bench):
    decide(bench, "none", "12 new rows; at least 100 are needed.", at=MAY)
    assert "nothing was ever put live" in ask("history", "churn").output


def test_a_model_without_a_decision_names_what_decides(bench):
    promote(bench, None, "1", at=MAY, why="The first version.")
    told = ask("why", "churn").output
    assert "no sensor has decided anything yet; `mlops-dagster dev` turns" in told


@pytest.mark.parametrize("command", ["status", "why", "history"])
def test_a_name_that_left_no_trace_is_refused_with_the_nearest(command, bench, tmp_path):
    for place in ("churn/all", "orders/DE"):
        (tmp_path / "home/lake/records" / place).mkdir(parents=True)
    result = ask(command, "chrun")
    assert result.exit_code == 1
    assert "no trace of a model 'chrun'" in result.stderr
    assert "Did you mean 'churn'? Known: ['churn', 'orders/DE']." in result.stderr


@pytest.mark.parametrize("command", ["status", "why", "history"])
def test_a_question_in_an_empty_folder_leaves_it_empty(command, bench, tmp_path):
    result = ask(command, "churn")
    assert result.exit_code == 1
    assert "Nothing ran there yet." in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_why_tells_a_yes_and_a_no_with_their_reasons(bench):
    for action, because, at in (
        ("none", "12 new rows; at least 100 are needed.", MAY),
        ("retrain", "134 new rows since the last training.", JUNE),
    ):
        decide(bench, action, because, at=at)
    assert ask("why", "churn").output.splitlines() == [
        "2024-06-01 00:00  retrain  new_data: 134 new rows since the last training.",
        "2024-05-01 00:00  no       new_data: 12 new rows; at least 100 are needed.",
    ]


@pytest.mark.parametrize("command", ["why", "history"])
def test_on_a_screen_a_long_reason_goes_on_below_itself(command, bench):
    long = "The loss of the last window is above what was expected of it. " * 3
    promote(bench, None, "1", at=MAY, why=long)
    decide(bench, "none", long, at=MAY)
    shown = on_a_screen(command, "churn", columns=80)
    assert len(shown) > 2
    assert shown[0].startswith("2024-05-01 00:00  ")
    assert {line[:18].strip() for line in shown[1:]} == {""}
    assert max(map(len, shown)) <= 80


def on_a_screen(*arguments: str, columns: int) -> list[str]:
    """Run a command in a terminal; give its lines."""
    ours, theirs = pty.openpty()
    code = "from mlops_dagster.cli.main import main; main()"
    environment = {**os.environ, "COLUMNS": str(columns)}
    subprocess.run(
        [sys.executable, "-c", code, *arguments], stdout=theirs, env=environment, check=True
    )
    said = os.read(ours, 65_536)
    os.close(theirs)
    os.close(ours)
    return said.decode().splitlines()


def test_TE7_why_shows_the_alarms_that_started_nothing(bench):
    decide(bench, "retrain", "134 new rows since the last training.", at=MAY)
    bench.operations.add_findings(
        [
            Finding(
                model="churn", segment="all", signal="prediction_drift", subject=f"answer {number}",
                outcome=Outcome.REFUSED, value=0.3, limit=0.1, rows=900, window_start=None,
                window_end=None, at=JUNE, because=f"answer {number}: moved by 0.3 sd, limit 0.1 sd.",
                severity="minor",
            )
            for number in range(12)
        ]
    )  # fmt: skip
    lines = ask("why", "churn", "--limit", "2").output.splitlines()
    assert lines[2:] == [
        "12 alarm(s) since the last retrain started nothing; the newest:",
        "2024-06-01 00:00  prediction_drift (minor): answer 11: moved by 0.3 sd, limit 0.1 sd.",
        "2024-06-01 00:00  prediction_drift (minor): answer 10: moved by 0.3 sd, limit 0.1 sd.",
    ]


def test_setup_brings_an_embedded_store_of_an_older_format_up_to_date(bench):
    decide(bench, "none", "Nothing new.", at=MAY)
    with sqlite3.connect(bench.home / "operations.db") as database:
        database.execute("UPDATE mlops_schema SET version = 2")
    open_workbench.cache_clear()
    assert "setup" in ask("why", "churn").output
    assert "operations  ready" in ask("setup").output
    assert "Nothing new." in ask("why", "churn").output


def test_setup_prepares_a_store_that_is_not_ours(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_OPERATIONS_URL", f"sqlite:///{tmp_path / 'theirs.db'}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    assert "no trace" not in ask("why", "churn").stderr
    assert "operations  ready" in ask("setup").output
    assert "no trace of a model 'churn'" in ask("why", "churn").stderr
