import os
import sys
from threading import Event

import pytest

from mlops_dagster.cli.dev import (
    dagster_command,
    end_all,
    environment_of,
    mlflow_command,
    mlflow_page,
    running,
    wait_for_end,
    without_noise,
)
from mlops_dagster.errors import StoreError
from mlops_dagster.testing.tracking import OWNER
from mlops_dagster.workbench import workbench_from_environment

WAITS = [sys.executable, "-c", "import threading; threading.Event().wait()"]
ENDS = [sys.executable, "-c", "raise SystemExit(3)"]


def test_both_processes_are_ended_when_one_of_them_ends_by_itself():
    with (
        pytest.raises(StoreError, match=r"MLflow ended by itself with code 3.*--mlflow-port"),
        running({"Dagster": WAITS, "MLflow": ENDS}, os.environ) as processes,
    ):
        wait_for_end(processes, Event())
    assert all(one.poll() is not None for one in processes.values())


def test_a_process_that_ended_already_is_left_alone():
    with running({"MLflow": ENDS}, os.environ) as processes:
        processes["MLflow"].wait(30)
    end_all([processes["MLflow"]])
    assert processes["MLflow"].returncode == 3


def test_the_last_lines_of_a_process_that_ended_by_itself_are_shown(capfdbinary):
    says = [sys.executable, "-c", "raise SystemExit('the port is taken')"]
    with (
        pytest.raises(StoreError, match="its last lines are above"),
        running({"MLflow": says}, os.environ) as processes,
    ):
        wait_for_end(processes, Event())
    assert capfdbinary.readouterr().out == b"the port is taken\n"


def test_what_a_process_says_when_it_is_ended_is_not_shown(capfdbinary):
    says = "import threading; print('started', flush=True); threading.Event().wait()"
    with running({"Dagster": [sys.executable, "-c", says]}, os.environ):
        pass
    assert b"KeyboardInterrupt" not in capfdbinary.readouterr().out


def test_debug_lines_visits_and_the_warnings_of_libraries_are_left_out():
    said = b"""\
/venv/click/core.py:911: SupersessionWarning: Function `dev_command` is superseded.
  return callback(*args, **kwargs)
2026-11-21 10:20:07 +0000 - dagster - INFO - Launching Dagster services...
2026-11-21 10:20:23 +0000 - dagster - DEBUG - churn_update - RUN_START - Started.
/venv/mlflow/server/fastapi_app.py:23: StarletteDeprecationWarning: wsgi is deprecated.
  from starlette.middleware.wsgi import WSGIResponder
2026/11/21 21:48:42 INFO:     127.0.0.1:52558 - "GET / HTTP/1.1" 200 OK
2026/11/21 21:48:43 INFO:     127.0.0.1:52616 - "POST /ajax-api/2.0/mlflow/runs/search HTTP/1.1" 404 Not Found
2026/11/21 21:48:43 INFO:     127.0.0.1:52616 - "GET /broken HTTP/1.1" 500 Internal Server Error
/home/ada/churn/features.py:7: RuntimeWarning: divide by zero
  return rows.a / rows.b
""".splitlines(keepends=True)
    assert list(without_noise(said)) == [said[2], *said[-3:]]


def test_mlflow_opens_at_its_trainings_and_without_its_password():
    trainings = "/#/experiments?workflowType=machine_learning"
    shown = mlflow_page("https://ada:secret@mlflow.example/shop", port=5000)
    assert shown == f"https://mlflow.example/shop{trainings}"
    assert mlflow_page("", port=5001) == f"http://127.0.0.1:5001{trainings}"
    assert mlflow_page("sqlite:///theirs.db", port=5000) == "sqlite:///theirs.db"


@pytest.mark.parametrize(
    ("port", "links"), [(5001, "http://127.0.0.1:5001"), (None, "https://pages.example")]
)
def test_links_lead_to_the_mlflow_that_is_started(tmp_path, monkeypatch, port, links):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("MLOPS_MLFLOW_UI_URL", "https://pages.example")
    started_with = environment_of(tmp_path, sensors="running", port=3000, mlflow_port=port)
    assert started_with["MLOPS_MLFLOW_UI_URL"] == links
    monkeypatch.setenv("MLOPS_MLFLOW_UI_URL", links)
    tracking = workbench_from_environment(home=str(tmp_path)).tracking
    assert tracking.run_url(tracking.run_of(OWNER)).startswith(f"{links}/#/experiments/1/runs/")


def test_GO12_neither_tells_its_makers_of_a_visit(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    started_with = environment_of(tmp_path, sensors="running", port=3000, mlflow_port=5000)
    assert started_with["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "enabled: false" in (tmp_path / "dagster" / "dagster.yaml").read_text()


def test_both_pages_are_for_this_machine_only(tmp_path):
    assert "127.0.0.1" in dagster_command(tmp_path / "workspace.yaml", port=3000)
    assert "127.0.0.1" in mlflow_command("sqlite:///x.db", "artifacts", port=5000)
