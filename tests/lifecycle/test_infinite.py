"""Infinite numbers, of which JSON knows none, stop no training and no promotion."""

import dagster as dg
import numpy as np
import pytest

from tests.lifecycle.small import Scene, cancer, cancer_spec, check_results


@pytest.mark.parametrize("column", ["mean_area", "target"])
def test_an_infinite_number_among_the_rows_held_out_stops_nothing(column, bench, tmp_path):
    rows = cancer().astype({"target": "float64"})
    rows.loc[len(rows) - 3, column] = np.inf
    rows.to_csv(tmp_path / "cancer.csv", index=False)
    regression = {
        "task": "regression",
        "train": {"estimator": "sklearn.linear_model.LinearRegression", "split": None},
        "evaluate": {"gates": [{"kind": "beats_dummy", "metric": "rmse"}]},
    }
    spec = cancer_spec(tmp_path / "cancer.csv", **(regression if column == "target" else {}))
    with dg.instance_for_test() as instance:
        scene = Scene(spec, bench, instance)
        result = scene.run("lifecycle")
        assert result.success
        assert check_results(result)["parity"].passed
        assert "infinite 'target'" in scene.record("features", result).because or column != "target"
    assert bench.registry.by_alias("cancer", "champion").version == "1"
