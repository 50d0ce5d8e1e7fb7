"""Estimated performance beside NannyML's, on the same rows. Run by `make test-peers`."""

import numpy as np
import pandas as pd
import pytest

from mlops_dagster.metrics.estimated import estimate, fit_calibrator
from mlops_dagster.metrics.quality import Scored

nannyml = pytest.importorskip("nannyml", reason="an environment of its own: make test-peers")

ROWS = 50_000
METRICS = ("roc_auc", "accuracy", "f1", "precision", "recall")
SCENARIOS = {
    "nothing changed": {},
    "a feature moved up by one sd": {"shift": 1.0},
    "a feature moved down by 1.5 sd": {"shift": -1.5},
    "a feature spread by half": {"spread": 1.5},
    "three in ten labels mean the opposite": {"flipped": 0.3},
    "all labels mean the opposite": {"flipped": 1.0},
}


def world(seed: int, *, shift: float = 0.0, spread: float = 1.0, flipped: float = 0.0):
    """Rows with labels, and a fitted-looking model's probabilities, a little too sure."""
    chance = np.random.default_rng(seed)
    first, second = chance.normal(size=ROWS) + shift, chance.normal(size=ROWS) * spread
    likely = 1 / (1 + np.exp(-(1.2 * first + 0.9 * second)))
    truth = chance.random(ROWS) < likely
    truth ^= chance.random(ROWS) < flipped
    share = 1 / (1 + np.exp(-(1.6 * first + 1.1 * second)))
    return truth.astype(int), share


def scored(truth: np.ndarray, share: np.ndarray) -> Scored:
    return Scored(y_true=truth, y_pred=(share >= 0.5).astype(int), probability=share, labels=(0, 1))


def frame(truth: np.ndarray, share: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"truth": truth, "share": share, "said": (share >= 0.5).astype(int)})


@pytest.fixture(scope="module")
def peer():
    estimator = nannyml.CBPE(
        metrics=list(METRICS),
        y_true="truth",
        y_pred="said",
        y_pred_proba="share",
        problem_type="classification_binary",
        chunk_number=1,
    )
    return estimator.fit(frame(*world(1)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_TE5_the_estimate_equals_nannymls_within_a_thousandth(peer, name):
    truth, share = world(2, **SCENARIOS[name])
    theirs = peer.estimate(frame(truth, share)).to_df()
    calibrator = fit_calibrator(scored(*world(1)))
    assert calibrator is not None
    ours = estimate(list(METRICS), scored(truth, share), calibrator)
    rows = theirs[theirs[("chunk", "period")] == "analysis"]
    for metric in METRICS:
        value = rows[(metric, "value")].iloc[0]
        assert ours[metric].value == pytest.approx(value, abs=1e-3), metric
