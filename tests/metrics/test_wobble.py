import numpy as np
import pytest

from mlops_dagster.metrics.wobble import Wobble, together, wobble_of


def test_wobble_is_what_is_left_when_chance_is_taken_off():
    assert wobble_of(0.25, 0.16, windows=30).sd == pytest.approx(0.3)
    assert wobble_of(0.10, 0.16, windows=30).sd == 0.0


def test_of_a_distance_less_chance_is_taken_off_the_farther_it_moved():
    at_rest = wobble_of(0.16, 0.16, windows=30, of_means=0.10)
    far_away = wobble_of(9.0, 0.16, windows=30, of_means=0.10)
    assert at_rest.sd == pytest.approx(0.0, abs=1e-6)
    assert far_away.sd**2 == pytest.approx(9.0 - 0.10, rel=1e-3)


def test_a_limit_of_chance_and_wobble_is_passed_about_as_often_as_declared():
    chance = np.random.default_rng(4)
    passed = 0
    for _ in range(4_000):
        seen = chance.normal(0.0, 0.2, 25) + chance.normal(0.0, 0.1, 25)
        known = wobble_of(float(seen.var(ddof=1)), 0.01, windows=25)
        limit = known.widen(1.645 * 0.1, quantile=0.95)
        passed += chance.normal(0.0, 0.2) + chance.normal(0.0, 0.1) > limit
    assert 0.035 < passed / 4_000 < 0.07


def test_fewer_windows_widen_a_limit_more():
    few, many = (Wobble(sd=0.1, windows=count).widen(0.1, quantile=0.999) for count in (20, 100))
    assert few > many > 0.1


def test_parts_tell_together_what_none_has_the_windows_for():
    parts = [Wobble(sd=sd, windows=10) for sd in (0.3, 0.4)]
    assert together(parts[0], parts) == Wobble(sd=(0.125) ** 0.5, windows=20, of="slices")
    assert together(parts[1], parts).sd == 0.4
    assert together(parts[0], parts[:1]) is None
