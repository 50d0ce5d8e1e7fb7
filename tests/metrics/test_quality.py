import math
import subprocess
import sys

import numpy as np
import pytest

from mlops_dagster.declaration import Task
from mlops_dagster.errors import SpecError
from mlops_dagster.metrics.quality import METRICS, measure, metrics_for

sk = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _same_numbers_whatever_ran_before():
    RNG.bit_generator.state = np.random.default_rng(3).bit_generator.state


def test_binary_metrics_agree_with_scikit_learn():
    truth = RNG.integers(0, 2, 500)
    positive = np.round(np.clip(truth * 0.3 + RNG.uniform(0.05, 0.65, 500), 0, 1), 2)
    guess = (positive > 0.5).astype(int)
    found = measure(metrics_for(Task.BINARY), truth, guess, probability=positive, labels=(0, 1))
    assert found == pytest.approx(
        {
            "roc_auc": sk.roc_auc_score(truth, positive),
            "average_precision": sk.average_precision_score(truth, positive),
            "log_loss": sk.log_loss(truth, positive),
            "brier": sk.brier_score_loss(truth, positive),
            "accuracy": sk.accuracy_score(truth, guess),
            "f1": sk.f1_score(truth, guess),
            "precision": sk.precision_score(truth, guess),
            "recall": sk.recall_score(truth, guess),
        },
        abs=1e-12,
    )


def test_multiclass_metrics_agree_with_scikit_learn():
    labels = ("a", "b", "c")
    truth = RNG.choice(labels, 400)
    shares = RNG.dirichlet([1, 1, 1], 400)
    guess = np.asarray(labels)[shares.argmax(axis=1)]
    found = measure(metrics_for(Task.MULTICLASS), truth, guess, probability=shares, labels=labels)
    assert found == pytest.approx(
        {
            "roc_auc": sk.roc_auc_score(truth, shares, multi_class="ovr", average="weighted"),
            "log_loss": sk.log_loss(truth, shares, labels=labels),
            "accuracy": sk.accuracy_score(truth, guess),
            "balanced_accuracy": sk.balanced_accuracy_score(truth, guess),
            "f1_macro": sk.f1_score(truth, guess, average="macro"),
        },
        abs=1e-12,
    )


def test_regression_metrics_agree_with_scikit_learn():
    truth = RNG.normal(size=300)
    guess = truth + RNG.normal(size=300)
    found = measure(metrics_for(Task.REGRESSION), truth, guess)
    assert found == pytest.approx(
        {
            "rmse": sk.root_mean_squared_error(truth, guess),
            "mae": sk.mean_absolute_error(truth, guess),
            "r2": sk.r2_score(truth, guess),
            "median_absolute_error": sk.median_absolute_error(truth, guess),
        },
        abs=1e-12,
    )


@pytest.mark.parametrize("value", [0, 1])
def test_a_slice_with_one_class_has_no_ranking_and_still_a_log_loss(value):
    truth = np.full(20, value)
    found = measure(
        metrics_for(Task.BINARY), truth, truth, probability=np.full(20, 0.4), labels=(0, 1)
    )
    assert math.isnan(found["roc_auc"])
    assert math.isnan(found["average_precision"])
    assert found["log_loss"] == pytest.approx(-math.log(0.4 if value else 0.6))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_no_rows_measure_to_nan(name):
    labels = (0, 1) if Task.BINARY in METRICS[name].tasks else (0, 1, 2)
    nothing = np.array([])
    assert math.isnan(METRICS[name].score(nothing, nothing, nothing, labels))


def test_a_metric_of_probabilities_without_any_is_nan():
    assert math.isnan(measure(["brier"], np.array([0, 1]), np.array([0, 1]))["brier"])


def test_a_label_the_model_does_not_know_is_a_wrong_answer_not_an_error():
    truth, guess = np.array(["a", "z"]), np.array(["a", "a"])
    found = measure(
        ["accuracy", "log_loss"],
        truth,
        guess,
        probability=np.array([[0.9, 0.1], [0.9, 0.1]]),
        labels=("a", "b"),
    )
    assert found["accuracy"] == 0.5
    assert math.isfinite(found["log_loss"])


def test_an_unknown_name_tells_the_nearest_one():
    with pytest.raises(SpecError, match=r"'auc' is not known.*roc_auc"):
        measure(["auc"], np.array([0, 1]), np.array([0, 1]))


def test_the_names_are_known_without_any_heavy_import():
    script = (
        "import sys; from mlops_dagster.metrics.quality import METRICS; "
        "print(sorted({'sklearn', 'scipy', 'pandas', 'dagster', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
