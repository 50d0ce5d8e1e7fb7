import numpy as np
import pytest

from mlops_dagster.metrics.estimated import BLIND, estimate, fit_calibrator
from mlops_dagster.metrics.quality import METRICS, Scored

NAMES = [
    "roc_auc",
    "accuracy",
    "f1",
    "precision",
    "recall",
    "log_loss",
    "brier",
    "average_precision",
]


def world(rows: int, *, shift: float = 0.0, flipped: float = 0.0, seed: int = 0) -> Scored:
    """A model that is too sure of itself, on rows that may have moved or may mean the opposite."""
    chance = np.random.default_rng(seed)
    score = chance.normal(size=rows) + shift
    truth = chance.random(rows) < 1 / (1 + np.exp(-1.5 * score))
    truth ^= chance.random(rows) < flipped
    share = 1 / (1 + np.exp(-3 * score))
    return Scored(
        y_true=truth.astype(int),
        y_pred=(share >= 0.5).astype(int),
        probability=share,
        labels=(0, 1),
    )


def real(name: str, scored: Scored) -> float:
    return METRICS[name].score(scored.y_true, scored.y_pred, scored.probability, scored.labels)


@pytest.mark.parametrize("shift", [0.0, 1.0, -1.5])
@pytest.mark.parametrize("name", NAMES)
def test_TE5_the_estimate_is_near_what_labels_say_later(name, shift):
    calibrator = fit_calibrator(world(50_000, seed=1))
    later = world(50_000, shift=shift, seed=2)
    found = estimate([name], later, calibrator)[name]
    assert found.value == pytest.approx(real(name, later), abs=0.02)
    assert found.low < found.value < found.high


def test_TE5_the_interval_holds_the_later_value_in_most_windows():
    calibrator = fit_calibrator(world(20_000, seed=1))
    held = 0
    for seed in range(60):
        later = world(500, seed=100 + seed)
        found = estimate(["roc_auc"], later, calibrator)["roc_auc"]
        held += found.low <= real("roc_auc", later) <= found.high
    assert held >= 53


def test_TE5_concept_drift_is_invisible_to_it_and_it_says_so():
    calibrator = fit_calibrator(world(50_000, seed=1))
    flipped = world(50_000, flipped=0.3, seed=2)
    found = estimate(["accuracy"], flipped, calibrator)["accuracy"]
    assert real("accuracy", flipped) < found.low
    assert found.value == pytest.approx(real("accuracy", world(50_000, seed=2)), abs=0.01)
    assert "concept drift is invisible" in BLIND


def test_TE5_several_labels_are_calibrated_each_and_add_up_to_one():
    chance = np.random.default_rng(3)
    raw = np.exp(chance.normal(size=(30_000, 3)))
    likely = raw / raw.sum(axis=1, keepdims=True)
    truth = (chance.random((30_000, 1)) > np.cumsum(likely, axis=1)[:, :-1]).sum(axis=1)
    sure = likely**2 / (likely**2).sum(axis=1, keepdims=True)
    labels = ("a", "b", "c")
    scored = Scored(
        y_true=np.asarray(labels)[truth],
        y_pred=np.asarray(labels)[sure.argmax(axis=1)],
        probability=sure,
        labels=labels,
    )
    calibrator = fit_calibrator(scored)
    assert calibrator.apply(sure).sum(axis=1) == pytest.approx(1.0)
    found = estimate(["accuracy", "f1_macro", "log_loss", "roc_auc"], scored, calibrator)
    assert sorted(found) == ["accuracy", "f1_macro", "log_loss"]
    for name, one in found.items():
        assert one.value == pytest.approx(real(name, scored), abs=0.01)


def test_one_label_alone_calibrates_nothing():
    scored = world(100)
    only = Scored(
        y_true=np.ones(100, int),
        y_pred=scored.y_pred,
        probability=scored.probability,
        labels=(0, 1),
    )
    assert fit_calibrator(only) is None
