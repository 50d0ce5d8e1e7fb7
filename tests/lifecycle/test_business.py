"""What decisions are worth, through the whole life: chosen by, tracked, gated, watched."""

import dagster as dg
import mlflow
import pandas as pd
import pytest
from pydantic import ValidationError

from mlops_dagster.scoring.loader import load_verified
from tests.lifecycle.small import Scene, cancer, cancer_spec, check_results, metadata_of

COSTS = {"true_positive": 10, "false_positive": -90, "true_negative": 10, "false_negative": -10}


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


def spec_of(place, **train):
    return cancer_spec(
        place,
        train={
            "estimator": "sklearn.linear_model.LogisticRegression",
            "split": {"kind": "random", "holdout": 0.3},
            **train,
        },
        evaluate={
            "metrics": ["roc_auc"],
            "business": COSTS,
            "gates": [{"kind": "threshold", "metric": "business_value", "at_least": 1.0}],
        },
        monitor={"performance": {"window": "2d", "minimum_labels": 30}},
    )


def test_GO7_a_business_metric_is_tracked_gated_watched_and_chooses_the_threshold(
    bench, instance, tmp_path
):
    cancer().iloc[:400].to_csv(tmp_path / "cancer.csv", index=False)
    bench.clock.set(pd.Timestamp("2026-02-01", tz="UTC").to_pydatetime())
    scene = Scene(spec_of(tmp_path / "cancer.csv", threshold="business"), bench, instance)
    result = scene.run("lifecycle")
    assert result.success
    gate = check_results(result)["threshold_business_value"]
    assert gate.passed
    evaluation = scene.record("evaluation", result)
    assert evaluation.metrics["business_value"] >= 1.0
    version = bench.registry.by_alias("cancer", "champion")
    client = mlflow.MlflowClient(bench.mlflow_address)
    tracked = client.get_run(evaluation.mlflow_run_id).data
    assert tracked.metrics["business_value"] == evaluation.metrics["business_value"]
    assert tracked.params["threshold"] == "0.833333"
    champion = load_verified(bench.registry, version)
    answers = champion.predict(cancer()[champion.inputs])
    assert (answers["prediction"] == (answers["probability"] >= 100 / 120)).all()
    cancer().to_csv(tmp_path / "cancer.csv", index=False)
    update = scene.run("update")
    assert update.success
    assert "business_value" in str(metadata_of(update, "monitoring")["performance"])
    found = [one for _, one in bench.operations.findings("cancer", "all")]
    assert "business_value" in {one.subject for one in found if one.signal == "performance"}


def test_GO7_a_value_of_two_labels_is_refused_for_a_number(tmp_path):
    with pytest.raises(ValidationError, match="needs a function; four values are of two labels"):
        cancer_spec(
            tmp_path / "x.csv",
            task="regression",
            evaluate={"metrics": ["rmse"], "business": COSTS},
        )
