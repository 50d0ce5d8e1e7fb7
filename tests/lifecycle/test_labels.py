"""Labels that come by themselves, through the whole life: source, asset, monitoring."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from mlops_dagster.records import Outcome
from mlops_dagster.stores.registry import CHAMPION
from tests.lifecycle.small import Scene, cancer, cancer_spec, check_results, metadata_of


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def scene(bench, instance, tmp_path) -> Scene:
    """Breast cancer whose last 160 hours have no target: their outcomes come in a file of labels."""
    table = cancer()
    table.loc[table.index[-160:], "target"] = None
    table.to_csv(tmp_path / "cancer.csv", index=False)
    pd.DataFrame({"id": [-1], "outcome": [0], "told": ["2026-01-01T00:00:00Z"]}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    monitor = {
        "labels": {
            "source": {"kind": "file", "path": str(tmp_path / "labels.csv")},
            "label": "outcome",
            "label_time": "told",
        },
        "performance": {"window": "2d", "minimum_labels": 30},
    }
    spec = cancer_spec(tmp_path / "cancer.csv", monitor=monitor)
    bench.clock.set(pd.Timestamp("2026-02-01", tz="UTC").to_pydatetime())
    return Scene(spec, bench, instance)


def tell(place, ids):
    known = cancer().iloc[list(ids)]
    frame = pd.DataFrame(
        {
            "id": known["id"],
            "outcome": known["target"].astype(int),
            "told": (known["seen"] + pd.Timedelta(days=1)).map(lambda one: one.isoformat()),
        }
    )
    frame.to_csv(place, index=False)


def assert_page(bench, shown):
    """The page is in the home and with the champion's run, and Dagster links both."""
    page = Path(shown["page"]).read_text(encoding="utf-8")
    version = bench.registry.by_alias("cancer", CHAMPION)
    assert f"Version {version.version} serves since 2026-02-01 00:00 UTC" in page
    assert "answers in 2 windows have a label" in page
    place = f"runs/{version.mlflow_run_id}/artifactPath/monitoring/cancer.html"
    assert shown["page in MLflow"].partition("?")[0].endswith(place)
    [logged] = Path(bench.artifacts_root).rglob("monitoring/cancer.html")
    assert logged.read_text(encoding="utf-8") == page


def test_TE4_a_declared_source_of_labels_is_an_asset_and_corrects_the_metrics(scene, tmp_path):
    first = scene.run("lifecycle")
    assert first.success
    assert scene.record("labels", first).table.rows == 1
    assert "performance" in check_results(first)
    rows = len(cancer())
    tell(tmp_path / "labels.csv", range(rows - 160, rows - 60))
    second = scene.run("monitor")
    assert second.success
    record = scene.record("monitoring", second)
    assert not record.reused
    table = str(metadata_of(second, "monitoring")["performance"])
    assert "| labelled |" in table
    assert_page(scene.bench, metadata_of(second, "monitoring"))
    said = {check.name: check for check in record.checks}["performance"]
    assert said.outcome is not Outcome.NOT_APPLICABLE
    third = scene.run("monitor")
    assert scene.record("monitoring", third).reused
    tell(tmp_path / "labels.csv", range(rows - 160, rows))
    fourth = scene.run("monitor")
    assert not scene.record("monitoring", fourth).reused
    history = scene.bench.tables.read("cancer/all/performance").to_pylist()
    whole = [
        one
        for one in history
        if (one["metric"], one["kind"], one["slice"]) == ("log_loss", "labelled", "")
    ]
    assert {one["coverage"] for one in whole} == {1.0}


def test_a_source_without_a_declared_column_says_which(scene, tmp_path):
    pd.DataFrame({"id": [1], "other": [1]}).to_csv(tmp_path / "labels.csv", index=False)
    result = scene.run("monitor")
    assert not result.success
    [failed] = [one for one in result.all_events if one.is_step_failure]
    assert "outcome" in str(failed.step_failure_data.error)
