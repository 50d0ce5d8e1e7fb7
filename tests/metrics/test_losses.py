import numpy as np
import pytest

from mlops_dagster.declaration import Task
from mlops_dagster.metrics.losses import LossSketch, loss_name, row_losses, sketch
from mlops_dagster.metrics.quality import Scored


def answers(rows: int, *, flipped: float = 0.0, seed: int = 0) -> Scored:
    """A model that knows its probabilities; a share of the rows means the opposite now."""
    chance = np.random.default_rng(seed)
    score = chance.normal(size=rows) * 1.5
    share = 1 / (1 + np.exp(-score))
    truth = chance.random(rows) < share
    truth ^= chance.random(rows) < flipped
    return Scored(
        y_true=truth.astype(int),
        y_pred=(share >= 0.5).astype(int),
        probability=share,
        labels=(0, 1),
    )


def losses(rows: int, **options: object) -> np.ndarray:
    return row_losses(Task.BINARY, answers(rows, **options))


def test_the_limit_is_the_quantile_of_the_bootstrap():
    reference = losses(3_000, seed=1)
    chance = np.random.default_rng(2)
    means = [
        chance.choice(reference, 500).mean() - chance.choice(reference, 3_000).mean()
        for _ in range(8_000)
    ]
    drawn = reference.mean() + np.quantile(means, 0.99)
    found = sketch(reference).limit(500, quantile=0.99)
    assert found == pytest.approx(drawn, abs=0.1 * reference.std() / np.sqrt(500))


@pytest.mark.parametrize("rows", [500, 1_000])
def test_TE4_quiet_windows_of_labels_rarely_alarm(rows):
    alarms = [
        losses(rows, seed=2_000 + at).mean()
        > sketch(losses(20_000, seed=at % 7)).limit(rows, quantile=0.99)
        for at in range(400)
    ]
    assert np.mean(alarms) <= 0.02


def test_TE4_a_flip_of_three_in_ten_labels_is_seen_at_a_thousand_labels():
    limit = sketch(losses(20_000, seed=1)).limit(1_000, quantile=0.99)
    seen = [losses(1_000, flipped=0.3, seed=50 + at).mean() > limit for at in range(200)]
    assert np.mean(seen) >= 0.85


def test_windows_that_differ_anyway_widen_the_limit():
    quiet = LossSketch(rows=9_000, mean=0.5, sd=0.4, skew=1.0)
    assert quiet.limit_over_time(quantile=0.99) is None
    restless = LossSketch(rows=9_000, mean=0.5, sd=0.4, skew=1.0, windows=tuple([0.45, 0.55] * 10))
    found = restless.limit_over_time(quantile=0.99)
    assert 0.6 < found < 0.7
    assert quiet.limit(10_000, quantile=0.99) < 0.52


def test_losses_that_are_no_numbers_are_left_out_and_none_is_no_limit():
    assert sketch(np.array([1.0, np.nan, 3.0])).mean == 2.0
    assert np.isnan(sketch(np.array([])).limit(100, quantile=0.99))
    assert sketch(np.ones(10)).limit(5, quantile=0.99) == 1.0


def test_a_regression_is_measured_by_its_absolute_error():
    scored = Scored(
        y_true=np.array([1.0, 5.0]), y_pred=np.array([2.0, 3.0]), probability=None, labels=()
    )
    assert row_losses(Task.REGRESSION, scored).tolist() == [1.0, 2.0]
    assert loss_name(Task.REGRESSION) == "mae"
    assert loss_name(Task.MULTICLASS) == "log_loss"
