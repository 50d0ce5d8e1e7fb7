import os
import sys
from threading import Event

import pytest

from mlops_dagster.cli.dev import dagster_command, end_all, mlflow_command, running, wait_for_end
from mlops_dagster.errors import StoreError

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


def test_both_pages_are_for_this_machine_only(tmp_path):
    assert "127.0.0.1" in dagster_command(tmp_path / "workspace.yaml", port=3000)
    assert "127.0.0.1" in mlflow_command("sqlite:///x.db", "artifacts", port=5000)
