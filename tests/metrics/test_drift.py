import numpy as np
import pytest

from mlops_dagster.metrics.drift import chi2, jensen_shannon, ks, psi, wasserstein

stats = pytest.importorskip("scipy.stats")
jensenshannon = pytest.importorskip("scipy.spatial.distance").jensenshannon
RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def _same_numbers_whatever_ran_before():
    RNG.bit_generator.state = np.random.default_rng(11).bit_generator.state


QUANTILES = sorted(
    {i / 64 for i in range(1, 64)}
    | {2.0**-i / 64 for i in range(1, 9)}
    | {1 - 2.0**-i / 64 for i in range(1, 9)}
)


def binned(values, edges):
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def bounds_of(edges, *sides):
    joined = np.concatenate(sides)
    return np.array([min(joined.min(), edges[0]), *edges, max(joined.max(), edges[-1])])


PAIRS = [
    (RNG.multinomial(900, p), RNG.multinomial(700, q))
    for p, q in ((RNG.dirichlet(np.ones(k)), RNG.dirichlet(np.ones(k))) for k in (2, 5, 24, 80))
]


@pytest.mark.parametrize("pair", PAIRS)
def test_distances_agree_with_scipy_on_the_same_counts(pair):
    reference, current = pair
    places = np.arange(len(reference))
    p, q = (side + 0.5 for side in (current, reference))
    p, q = p / p.sum(), q / q.sum()
    assert psi(reference, current) == pytest.approx(
        stats.entropy(p, q) + stats.entropy(q, p), abs=1e-12
    )
    assert jensen_shannon(reference, current) == pytest.approx(
        jensenshannon(current, reference), abs=1e-12
    )
    rows = [np.repeat(places, side) for side in pair]
    assert ks(reference, current) == pytest.approx(stats.ks_2samp(*rows).statistic, abs=1e-12)
    there = (reference + current) > 0
    expected = stats.chi2_contingency([reference[there], current[there]], correction=False)
    assert chi2(reference, current) == pytest.approx(
        (expected.statistic, expected.pvalue), abs=1e-9
    )


@pytest.mark.parametrize("distinct", [2, 5, 24])
def test_steps_give_the_exact_distance_of_values_that_are_edges(distinct):
    values = np.sort(RNG.normal(size=distinct))
    left, right = RNG.multinomial(500, np.full(distinct, 1 / distinct), size=2)
    below = np.nextafter(values[0], -np.inf)
    bounds = np.array([below - 1, below, *values, values[-1] + 1])
    found = wasserstein([0, *left, 0], [0, *right, 0], bounds=bounds, steps=True)
    exact = stats.wasserstein_distance(values, values, left, right)
    assert found == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("draw", ["normal", "lognormal", "t3"])
@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_binned_distances_are_close_to_the_exact_ones(draw, shift):
    make = {
        "normal": lambda: RNG.normal(size=100_000),
        "lognormal": lambda: RNG.lognormal(size=100_000),
        "t3": lambda: RNG.standard_t(3, size=100_000),
    }[draw]
    reference = make()
    spread = reference.std()
    current = make() + shift * spread
    edges = np.unique(np.quantile(reference, QUANTILES))
    bounds = bounds_of(edges, reference, current)
    sides = binned(reference, edges), binned(current, edges)
    exact = stats.wasserstein_distance(reference, current) / spread
    assert wasserstein(*sides, bounds=bounds) / spread == pytest.approx(exact, abs=0.01)
    assert ks(*sides) == pytest.approx(stats.ks_2samp(reference, current).statistic, abs=0.001)


def test_the_same_counts_are_no_distance_apart():
    counts = np.array([3, 0, 9])
    assert psi(counts, counts) == 0
    assert jensen_shannon(counts, counts) == 0
    assert ks(counts, counts) == 0
    assert wasserstein(counts, counts, bounds=[0, 1, 2, 3]) == 0


def test_an_empty_side_is_nan_and_not_a_number_that_looks_fine():
    assert np.isnan(jensen_shannon([1, 2], [0, 0]))
    assert np.isnan(ks([1, 2], [0, 0]))
    assert np.isnan(chi2([1, 2], [0, 0])[0])


def test_chi2_takes_the_reference_as_a_sample_and_keeps_its_level():
    shares = np.full(10, 0.1)
    pairs = zip(
        RNG.multinomial(1000, shares, size=1000),
        RNG.multinomial(5000, shares, size=1000),
        strict=True,
    )
    alarms = np.mean([chi2(a, b)[1] < 0.05 for a, b in pairs])
    assert 0.03 < alarms < 0.07


def test_many_pairs_at_once_give_what_each_gives_alone():
    left, right = RNG.multinomial(100, np.full(6, 1 / 6), size=(2, 5))
    together = wasserstein(left, right, bounds=range(7))
    assert list(together) == [
        float(wasserstein(a, b, bounds=range(7))) for a, b in zip(left, right, strict=True)
    ]
