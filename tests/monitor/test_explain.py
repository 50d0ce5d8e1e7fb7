import numpy as np
import pandas as pd
import pytest

from mlops_dagster.metrics.losses import sketch
from mlops_dagster.monitor.explain import Explanation, explain_rise
from mlops_dagster.profiles.answers import GroupLosses, group_losses
from mlops_dagster.profiles.groups import group_values

ROWS = 8_000


def world(*, seed: int, shares: tuple[float, float, float] = (0.4, 0.4, 0.2)) -> pd.DataFrame:
    """Flights: two columns that matter nothing, and a carrier whose flights are hard to tell."""
    chance = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "carrier": chance.choice(["AA", "DL", "EV"], ROWS, p=shares),
            "wind": chance.normal(size=ROWS),
            "month": chance.integers(1, 13, ROWS),
        }
    )
    hard = (rows["carrier"] == "EV").to_numpy() * 0.5
    return rows.assign(loss=chance.gamma(2.0, 0.15, ROWS) + hard)


def explained(before: pd.DataFrame, now: pd.DataFrame) -> Explanation:
    columns = []
    for name in ("carrier", "wind", "month"):
        grouping = group_values(name, before[name])
        sides = [
            group_losses(grouping.of(side[name]), side["loss"].to_numpy()) for side in (before, now)
        ]
        columns.append(("feature", GroupLosses(grouping=grouping, losses=sides[0]), sides[1]))
    old, new = (sketch(side["loss"].to_numpy()) for side in (before, now))
    ranked = tuple(explain_rise(columns, before=old, now=new))
    return Explanation(metric="log_loss", before=old, now=new, ranked=ranked)


@pytest.mark.parametrize("seed", range(5))
def test_GO9_the_group_that_became_worse_ranks_first_with_its_part_of_the_rise(seed):
    now = world(seed=100 + seed)
    now.loc[now["carrier"] == "EV", "loss"] += 0.4
    found = explained(world(seed=seed), now)
    first = found.ranked[0]
    assert first.column == "carrier"
    assert first.groups[0].name == "EV"
    assert first.groups[0].within + first.groups[0].mix == pytest.approx(found.rise, abs=0.03)
    assert first.explains > 3 * found.ranked[1].explains
    assert "Explained most by carrier: EV: 0." in found.sentence
    assert "| feature | carrier |" in found.table


@pytest.mark.parametrize("seed", range(5))
def test_GO9_more_of_a_hard_group_is_named_as_mix(seed):
    found = explained(world(seed=seed), world(seed=100 + seed, shares=(0.25, 0.25, 0.5)))
    first = found.ranked[0]
    assert first.column == "carrier"
    assert first.mix == pytest.approx(found.rise, abs=0.03)
    assert first.uneven < 0.05


def test_GO9_where_all_groups_rose_alike_no_column_explains_it():
    now = world(seed=7)
    now["loss"] += 0.3
    found = explained(world(seed=1), now)
    assert all(one.explains < 0.03 for one in found.ranked)


def test_a_number_is_named_by_where_it_lies():
    now = world(seed=9)
    now.loc[now["wind"] > 1.5, "loss"] += 2.0
    found = explained(world(seed=2), now)
    assert found.ranked[0].column == "wind"
    assert found.ranked[0].groups[0].name.startswith("over 1.")


def test_a_group_that_is_new_is_held_against_the_whole():
    now = world(seed=11)
    now.loc[:1_999, "carrier"] = "ZZ"
    now.loc[:1_999, "loss"] += 1.0
    found = explained(world(seed=3), now)
    assert found.ranked[0].column == "carrier"
    assert found.ranked[0].groups[0].name == "(other)"
