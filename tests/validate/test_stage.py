import os
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

import mlops_dagster.ingest.assets as ingest
import mlops_dagster.validate.assets as validate
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.ingest.spec import IngestSpec
from mlops_dagster.resources import (
    RECORDS_KEY,
    WORKBENCH_KEY,
    RecordIOManager,
    WorkbenchResource,
)
from mlops_dagster.stage import build_stage_asset
from mlops_dagster.validate.spec import ValidateSpec

MODEL = ModelIdentity(name="shop", task=Task.BINARY, target="late", key=("id",), event_time="at")
EXPECTATIONS = [
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "origin"}},
    {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "late", "max_value": 0.4}},
    {"type": "expect_table_columns_to_match_set", "kwargs": {"column_set": ["id"]}},
]
SHOWN_ONLY = [EXPECTATIONS[0], *({**one, "severity": "warning"} for one in EXPECTATIONS[1:])]


@pytest.fixture
def materialize(tmp_path: Path):
    source = {"kind": "file", "path": str(tmp_path / "*.csv")}
    bench = WorkbenchResource(home=str(tmp_path / "home"))
    stages = [
        ingest.build_stage(MODEL, IngestSpec(source=source)),
        validate.build_stage(MODEL, ValidateSpec(expectations=SHOWN_ONLY)),
    ]
    validated = dg.AssetKey(["shop", "validated_data"])
    after = dg.AssetSpec("after", deps=[validated])
    downstream = dg.multi_asset(specs=[after], name="after")(lambda: None)
    assets = [*(build_stage_asset(MODEL, one) for one in stages), downstream]
    resources = {WORKBENCH_KEY: bench, RECORDS_KEY: RecordIOManager(workbench=bench)}

    def materialized(name: str, rows: pd.DataFrame) -> dg.ExecuteInProcessResult:
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
        with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
            return dg.materialize(
                assets, instance=instance, resources=resources, raise_on_error=False
            )

    return materialized


def frame(*ids: int, origin: object = "JFK", late: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"id": ids, "at": "2013-01-01", "origin": origin, "late": late})


def test_dagster_shows_each_expectation_and_a_refused_batch_stops_what_comes_after(materialize):
    good = materialize("a", frame(1, 2, late=1))
    assert good.success
    checks = {one.check_name: one for one in good.get_asset_check_evaluations()}
    assert {name: one.passed for name, one in checks.items()} == {
        "source_as_before": True,
        "column_values_to_not_be_null__origin": True,
        "column_mean_to_be_between__late": False,
        "table_columns_to_match_set": False,
    }
    assert checks["column_mean_to_be_between__late"].metadata["observed_value"].value == 1.0

    bad = materialize("b", frame(3, origin=None))
    refused = {one.check_name: one for one in bad.get_asset_check_evaluations()}
    null = refused["column_values_to_not_be_null__origin"]
    assert not bad.success
    assert null.severity is dg.AssetCheckSeverity.ERROR
    assert "1 of 1 rows (100 %) do not meet origin" in null.metadata["because"].value
    assert "after" not in {step.step_key for step in bad.get_step_success_events()}

    again = materialize("c", frame(4))
    assert again.success


def test_the_same_rows_are_not_judged_again_and_the_reason_is_shown(materialize):
    materialize("a", frame(1, 2))
    again = materialize("a", frame(1, 2))
    [validated] = again.asset_materializations_for_node("shop__validated_data")
    assert validated.metadata["reused"].value.startswith("Reused the validated_data made in run")
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
