import numpy as np
import pytest

from mlops_dagster.metrics import limits
from mlops_dagster.metrics.drift import jensen_shannon, wasserstein
from mlops_dagster.metrics.limits import (
    calibrate,
    limit_over_time,
    per_test,
    shifted_gamma_quantile,
)

stats = pytest.importorskip("scipy.stats")
EVEN = np.full(20, 5_000)


def moved(reference, current):
    return wasserstein(reference, current, bounds=np.arange(21) / 20)


def test_a_hundred_quiet_windows_of_ten_columns_alarm_at_most_four_times():
    quantile = per_test(0.01, tests=10)
    limit = calibrate(EVEN, 1_000, distance=jensen_shannon).limit(1_000, quantile=quantile)
    windows = np.random.default_rng(5).multinomial(1_000, np.full(20, 0.05), size=(100, 10))
    alarms = (jensen_shannon(EVEN, windows) > limit).any(axis=1).sum()
    assert alarms <= 4


@pytest.mark.parametrize("distance", [jensen_shannon, moved])
def test_one_calibration_serves_other_row_counts_by_scaling(distance):
    scaled = calibrate(EVEN, 1_000, distance=distance).limit(4_000, quantile=0.99)
    redrawn = calibrate(EVEN, 4_000, distance=distance, seed=1).limit(4_000, quantile=0.99)
    assert scaled == pytest.approx(redrawn, rel=0.08)


@pytest.mark.parametrize("distance", [jensen_shannon, moved])
def test_many_rows_are_drawn_faster_with_the_same_limits(distance, monkeypatch):
    rare = np.array([60_000, 30_000, 9_000, 950, 40, 9, 1])
    bounds = np.arange(len(rare) + 1) / len(rare)
    measured = (
        jensen_shannon
        if distance is jensen_shannon
        else lambda a, b: wasserstein(a, b, bounds=bounds)
    )
    fast = calibrate(rare, 50_000, distance=measured, draws=20_000)
    monkeypatch.setattr(limits, "_MANY_ROWS", 10**9)
    exact = calibrate(rare, 50_000, distance=measured, draws=20_000)
    for quantile in (0.95, 0.999):
        assert fast.limit(50_000, quantile=quantile) == pytest.approx(
            exact.limit(50_000, quantile=quantile), rel=0.05
        )


@pytest.mark.parametrize("distance", [jensen_shannon, moved])
def test_a_smooth_limit_is_no_matter_of_one_draw(distance):
    quantile = per_test(0.01, tests=30)
    drawn = [calibrate(EVEN, 500, distance=distance, steps=False, seed=seed) for seed in range(12)]
    found = np.array([one.limit(500, quantile=quantile) for one in drawn])
    chance = np.random.default_rng(3)
    sides = [chance.multinomial(rows, EVEN / EVEN.sum(), size=100_000) for rows in (100_000, 500)]
    assert 0.98 < found.mean() / np.quantile(distance(*sides), quantile) < 1.1
    assert found.std() / found.mean() < 0.03


@pytest.mark.parametrize("rows", [300, 1_000, 100_000])
def test_both_sides_drawn_as_one_have_the_same_limits(rows):
    rare = np.array([60_000, 30_000, 9_000, 950, 40, 9, 1])
    bounds = np.arange(len(rare) + 1) / len(rare)

    def distance(reference, current):
        return wasserstein(reference, current, bounds=bounds)

    one, two = (
        calibrate(rare, rows, distance=distance, steps=False, of_gaps=gaps, draws=40_000)
        for gaps in (True, False)
    )
    for quantile in (0.95, 0.9997):
        expected = two.limit(rows, quantile=quantile)
        assert one.limit(rows, quantile=quantile) == pytest.approx(expected, rel=0.03)


def test_the_same_seed_gives_the_same_limit():
    assert calibrate(EVEN, 500, distance=moved) == calibrate(EVEN, 500, distance=moved)


def test_a_value_never_seen_is_rare_and_not_impossible():
    limit = calibrate([100_000, 0], 1_000, distance=jensen_shannon).limit(1_000, quantile=0.999)
    assert limit > 0


@pytest.mark.parametrize("skew", [0.3, 1.0, 2.5])
def test_the_shifted_gamma_quantile_is_pearson_three(skew):
    expected = stats.pearson3.ppf(0.9997, skew, loc=2.0, scale=0.5)
    assert shifted_gamma_quantile(2.0, 0.5, skew, quantile=0.9997) == pytest.approx(expected)


def test_fewer_than_twenty_windows_give_no_limit_over_time():
    assert limit_over_time([0.1] * 19, quantile=0.999) is None


def test_a_steady_past_keeps_its_own_distance_as_the_limit():
    assert limit_over_time([0.09] * 25, quantile=0.999) == pytest.approx(0.09)


def test_the_limit_over_time_grows_with_how_much_windows_differ():
    steady = limit_over_time(np.linspace(0.08, 0.10, 25), quantile=0.999)
    restless = limit_over_time(np.linspace(0.01, 0.17, 25), quantile=0.999)
    assert steady is not None
    assert restless is not None
    assert 0.10 < steady < restless


def test_all_tests_together_alarm_at_the_given_rate():
    assert 1 - per_test(0.01, tests=30) ** 30 == pytest.approx(0.01)
