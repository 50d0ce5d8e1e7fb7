from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.records import Outcome
from mlops_dagster.train.spec import GroupSplit, RandomSplit, StratifiedSplit, TimeSplit
from mlops_dagster.train.splitting import Parts, judge_apart, split_rows

MODEL = ModelIdentity(
    name="parcels", task=Task.BINARY, target="late", key=("id",), event_time="seen"
)
ROWS = pd.DataFrame(
    {
        "id": range(200),
        "seen": pd.date_range("2026-01-01", periods=200, freq="D", tz="UTC"),
        "shop": [f"s{n % 20}" if n % 7 else None for n in range(200)],
        "late": [float(n % 4 == 0) for n in range(200)],
    }
).sample(frac=1, random_state=3, ignore_index=True)


def sides(split, *, model=MODEL, rows=ROWS, seed=0):
    parts = split_rows(model, rows, split=split, seed=seed)
    assert sorted([*parts.train, *parts.holdout]) == list(range(len(rows)))
    return rows.iloc[parts.train], rows.iloc[parts.holdout]


def test_PR1_the_newest_rows_are_held_out():
    train, holdout = sides(TimeSplit(holdout=timedelta(days=14)))
    assert len(holdout) == 14
    assert train["seen"].max() < holdout["seen"].min()


def test_PR1_no_group_is_on_both_sides():
    train, holdout = sides(GroupSplit(column="shop", holdout=0.25))
    assert not set(train["shop"].fillna("none")) & set(holdout["shop"].fillna("none"))
    assert len(holdout) >= 10


def test_an_unknown_group_column_is_named_with_the_nearest():
    with pytest.raises(DataNotFitError, match="Did you mean 'shop'"):
        sides(GroupSplit(column="shops"))


def test_each_class_is_held_out_in_its_share():
    train, holdout = sides(StratifiedSplit(holdout=0.2))
    assert holdout["late"].value_counts().to_dict() == {0.0: 30, 1.0: 10}
    assert len(train) == 160


def test_without_a_split_the_newest_fifth_is_held_out():
    _, holdout = sides(None)
    assert 39 <= len(holdout) <= 40
    assert holdout["seen"].min() > ROWS["seen"].min() + timedelta(days=150)


@pytest.mark.parametrize(
    ("task", "kind"), [(Task.BINARY, "stratified"), (Task.REGRESSION, "random")]
)
def test_without_times_rows_are_held_out_by_chance(task, kind):
    model = MODEL.model_copy(update={"event_time": None, "task": task})
    parts = split_rows(model, ROWS, split=None, seed=1)
    assert f'"kind":"{kind}"' in parts.told
    assert len(parts.holdout) == 40


def test_the_seed_decides_who_is_held_out():
    split = RandomSplit(holdout=0.3)
    first, again, other = (sides(split, seed=seed)[1]["id"].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("rows", "split", "said"),
    [
        (ROWS, TimeSplit(holdout=timedelta(days=3)), "3 of 200 rows for holdout"),
        (ROWS, TimeSplit(holdout=timedelta(days=400)), "0 of 200 rows for training"),
        (ROWS.assign(late=0.0), RandomSplit(), "training rows have one class"),
        (
            ROWS.assign(late=(ROWS["seen"] < "2026-05-01").astype(float)),
            TimeSplit(holdout=timedelta(days=30)),
            "holdout rows have one class",
        ),
        (ROWS.assign(late=ROWS["id"] % 3), RandomSplit(), "3 different values.*multiclass"),
    ],
)
def test_too_little_on_one_side_is_said(rows, split, said):
    with pytest.raises(DataNotFitError, match=said):
        sides(split, rows=rows)


def judged(rows: pd.DataFrame, features: pd.DataFrame):
    half = Parts(train=np.arange(100), holdout=np.arange(100, 200), told="")
    return judge_apart(MODEL, features, rows, half)


def test_PR1_a_key_on_both_sides_is_refused():
    rows = ROWS.assign(id=np.arange(200) % 150)
    check = judged(rows, rows[["shop"]].assign(x=range(200)))
    assert check.outcome is Outcome.REFUSED
    assert check.because.startswith("50 holdout rows have a key that is in the training rows")


def test_PR1_equal_rows_across_the_split_are_counted_and_not_refused():
    rows = ROWS.assign(late=0.0)
    check = judged(rows, pd.DataFrame({"x": [*range(100), *range(30), *range(200, 270)]}))
    assert check.outcome is Outcome.PASSED
    assert "30 holdout rows equal a training row" in check.because
    other = judged(rows.assign(late=np.arange(200) // 100), pd.DataFrame({"x": [1.0] * 200}))
    assert "0 holdout rows equal a training row" in other.because
