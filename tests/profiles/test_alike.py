import numpy as np
import pyarrow as pa
import pytest

from mlops_dagster.profiles.alike import moved_alike, parts_beside
from mlops_dagster.profiles.tables import profile_of

CHANCE = np.random.default_rng(3)
EDGES = profile_of(pa.table({"share": CHANCE.normal(size=20_000)}))


def numbers(mean, rows=20_000):
    return profile_of(pa.table({"share": CHANCE.normal(mean, size=rows)}), edges_from=EDGES)


def mean_of(profile):
    column = profile.columns["share"]
    middles = [column.edges[0], *column.edges]
    return float(np.average(middles, weights=column.counts))


def test_what_others_did_not_do_is_not_expected_of_a_part():
    part, others = numbers(0.5, rows=3_000), numbers(0.0)
    found = moved_alike(part, others, others).columns["share"]
    assert found.rows == part.columns["share"].rows
    apart = np.cumsum(found.counts) - np.cumsum(part.columns["share"].counts)
    assert np.abs(apart).max() <= 3  # of 3,000 rows


def test_a_part_is_expected_to_move_as_the_others_did_and_keeps_its_rows():
    part = numbers(0.5, rows=3_000)
    found = moved_alike(part, numbers(0.0), numbers(0.3))
    assert found.columns["share"].rows == part.columns["share"].rows
    assert mean_of(found) - mean_of(part) == pytest.approx(0.3, abs=0.05)


def test_labels_are_expected_more_often_as_they_became_with_others():
    def labels(**counts):
        rows = [name for name, count in counts.items() for _ in range(count)]
        return profile_of(pa.table({"share": rows}))

    part = labels(late=100, lost=100)
    found = moved_alike(part, labels(late=500, lost=500), labels(late=250, lost=750))
    assert found.columns["share"].counts == {"late": 50, "lost": 150}


def test_each_part_stands_beside_all_others():
    parts = {name: numbers(0.0, rows=rows) for name, rows in {"a": 10, "b": 20, "c": 30}.items()}
    found = parts_beside(parts)
    assert [(one.own.rows, one.others.rows) for one in found.values()] == [
        (10, 50),
        (20, 40),
        (30, 30),
    ]
    assert parts_beside({}) == {}
