import subprocess
import sys

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.monitor.assets import build_stage
from mlops_dagster.monitor.spec import FreshnessSpec, MonitorSpec
from mlops_dagster.stage import build_stage_asset

MODEL = ModelIdentity(name="shop", task=Task.BINARY, target="late")


def test_the_stage_declares_its_checks_and_none_of_them_blocks():
    stage = build_stage(MODEL, MonitorSpec())
    names = [check.name for check in stage.checks]
    age_and_drift = ["data_fresh", "feature_drift", "prediction_drift"]
    assert names == [*age_and_drift, "feature_skew"]
    without = build_stage(MODEL, MonitorSpec(skew=None))
    assert [check.name for check in without.checks] == age_and_drift
    assert not any(check.blocking for check in stage.checks)


def test_the_age_of_the_champion_is_a_check_only_where_its_limit_is_declared():
    spec = MonitorSpec(freshness=FreshnessSpec(max_model_age="30d"))
    assert "model_fresh" in [check.name for check in build_stage(MODEL, spec).checks]


def test_the_asset_waits_for_the_predictions():
    asset = build_stage_asset(MODEL, build_stage(MODEL, MonitorSpec()))
    [key] = asset.keys
    assert key.path == ["shop", "monitoring"]
    needed = {tuple(dep.path) for dep in asset.asset_deps[key]}
    assert needed == {("shop", "validated_data"), ("shop", "predictions")}


def test_declaring_loads_nothing_heavy():
    script = (
        "import sys, mlops_dagster.monitor.assets; heavy = {'pandas', 'scipy', 'sklearn', "
        "'matplotlib', 'duckdb', 'mlflow'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
