"""A few rows with a time that cannot be: they stop nothing, decide nothing, and are counted."""

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner

from mlops_dagster.cli import backtest, calibrate
from mlops_dagster.clock import ReplayClock
from tests.lifecycle.small import Scene, cancer, cancer_spec, check_results

SENTINELS = {0: "9999-12-31T00:00:00Z", 1: "1600-01-01T00:00:00Z", 2: "2099-01-01T00:00:00Z"}


@pytest.fixture
def scene(home, tmp_path) -> Scene:
    """The clock stands one day after the last row; the three oldest rows say when they never were."""
    from mlops_dagster.workbench import Workbench

    rows = cancer()
    clock = ReplayClock(tmp_path / "clock")
    clock.set((rows["seen"].max() + pd.Timedelta("1D")).to_pydatetime())
    times = rows["seen"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    for row, time in SENTINELS.items():
        times[row] = time
    rows.assign(seen=times).to_csv(tmp_path / "cancer.csv", index=False)
    spec = cancer_spec(
        tmp_path / "cancer.csv",
        train={
            "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
            "parameters": {"max_iter": 5},
        },
        evaluate={"gates": [{"kind": "beats_dummy", "metric": "log_loss"}]},
        monitor={
            "freshness": {"max_age": "36h"},
            "drift": {"window": "2d"},
            "performance": {"window": "2d"},
        },
    )
    with dg.instance_for_test() as instance:
        yield Scene(spec, Workbench(home=home, clock=clock), instance)


def test_rows_of_a_sentinel_stop_no_monitoring_and_are_counted(scene, monkeypatch):
    for job in ("lifecycle", "monitor"):
        result = scene.run(job)
        assert result.success
        told = check_results(result)["data_fresh"]
        assert told.passed
        assert (
            "2 row(s) are dated after now, up to 9999-12-31, and are in no window."
            in told.metadata["because"].value
        )
    reference = scene.record("monitoring", result).shown["reference"].value
    assert "569 rows in 11 complete windows" in reference
    for module, command in ((calibrate, calibrate.command), (backtest, backtest.command)):
        monkeypatch.setattr(module, "find_model", lambda *_: scene.spec)
        monkeypatch.setattr(module, "open_bench", lambda: scene.bench)
        given = ["cancer", "--policies", "never"] if module is backtest else ["cancer"]
        said = CliRunner().invoke(command, given, catch_exceptions=False).output
        assert "3 rows have no time, or one after now or before 1677, and are in no window." in said
    assert "windows of 2d from 2026-01-07" in said
