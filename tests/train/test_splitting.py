from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.records import Outcome, Severity
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


def arrow(rows: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(rows, preserve_index=False)


def sides(split, *, model=MODEL, rows=ROWS, seed=0):
    parts = split_rows(model, arrow(rows), split=split, seed=seed)
    assert sorted([*parts.train, *parts.holdout]) == list(range(len(rows)))
    return rows.iloc[parts.train], rows.iloc[parts.holdout]


def test_PR1_the_newest_rows_are_held_out():
    train, holdout = sides(TimeSplit(holdout=timedelta(days=14)))
    assert len(holdout) == 14
    assert train["seen"].max() < holdout["seen"].min()


@pytest.mark.parametrize(
    "split",
    [TimeSplit(holdout=timedelta(days=14)), RandomSplit(holdout=0.2), None],
)
def test_a_window_cuts_what_is_learned_from_and_not_the_holdout(split):
    whole = split_rows(MODEL, arrow(ROWS), split=split, seed=0)
    week = split_rows(MODEL, arrow(ROWS), split=split, seed=0, window=timedelta(days=60))
    assert week.holdout.tolist() == whole.holdout.tolist()
    before, now = ROWS["seen"].iloc[whole.train], ROWS["seen"].iloc[week.train]
    assert set(week.train) < set(whole.train)
    assert now.max() == before.max()
    assert set(now) == {one for one in before if one > before.max() - timedelta(days=60)}
    assert week.since == now.min()
    left = len(before) - len(now)
    assert week.note == f"Learned from the newest 60d: {left} older rows were left out."
    assert whole.since is None


def test_a_window_of_all_rows_changes_no_side_and_rows_without_a_time_are_in_no_window():
    rows = ROWS.assign(seen=ROWS["seen"].where(ROWS["id"] % 50 > 0))
    split, wide = TimeSplit(holdout=timedelta(days=14)), timedelta(days=1_000)
    whole, cut = (
        split_rows(MODEL, arrow(rows), split=split, seed=0, window=window)
        for window in (None, wide)
    )
    assert set(whole.train) - set(cut.train) == set(np.flatnonzero(rows["seen"].isna()))
    assert "4 older rows were left out, those without a time among them" in cut.note
    among = cut.alone()
    assert cut.kept[among.train].tolist() == cut.train.tolist()
    assert cut.kept[among.holdout].tolist() == cut.holdout.tolist()


def test_a_window_too_short_to_learn_from_is_refused():
    with pytest.raises(DataNotFitError, match=r"5 of 200 rows for training.*train\.window"):
        split_rows(
            MODEL,
            arrow(ROWS),
            split=TimeSplit(holdout=timedelta(days=14)),
            seed=0,
            window=timedelta(days=5),
        )


def test_PR1_no_group_is_on_both_sides():
    rows = ROWS.assign(late=(ROWS["id"] // 20 % 2).astype(float))
    train, holdout = sides(GroupSplit(column="shop", holdout=0.25), rows=rows)
    assert not set(train["shop"].fillna("none")) & set(holdout["shop"].fillna("none"))
    assert len(holdout) >= 10


def test_an_unknown_group_column_is_named_with_the_nearest():
    with pytest.raises(DataNotFitError, match="Did you mean 'shop'"):
        sides(GroupSplit(column="shops"))


def test_each_class_is_held_out_in_its_share():
    rows = pd.concat([ROWS.assign(id=ROWS["id"] + 200 * n) for n in range(50)])
    _, holdout = sides(StratifiedSplit(holdout=0.2), rows=rows)
    counts = holdout["late"].value_counts()
    assert counts[0.0] == pytest.approx(1_500, abs=105)
    assert counts[1.0] == pytest.approx(500, abs=60)
    _, few = sides(StratifiedSplit(holdout=0.2), rows=rare_class())
    assert 1 <= (few["late"] == 1.0).sum() <= 4


def rare_class() -> pd.DataFrame:
    """Two hundred rows, five of them of the other class."""
    return ROWS.assign(late=(ROWS["id"] < 5).astype(float))


BY_CHANCE = [
    RandomSplit(holdout=0.3),
    StratifiedSplit(holdout=0.3),
    GroupSplit(column="shop", holdout=0.3),
]
MANY = pd.concat(
    [
        ROWS.assign(id=ROWS["id"] + 200 * n, shop=[f"s{m}" for m in range(200 * n, 200 * n + 200)])
        for n in range(20)
    ],
    ignore_index=True,
).assign(size=lambda rows: rows["id"] * 0.5)


@pytest.mark.parametrize("split", BY_CHANCE, ids=lambda one: one.kind)
@pytest.mark.parametrize("key", [("id",), ()], ids=["key", "content"])
def test_a_row_once_learned_from_is_never_held_out_later(split, key):
    model = MODEL.model_copy(update={"key": key, "event_time": None})
    train, holdout = sides(split, model=model, rows=MANY.head(1_500))
    later = MANY.sample(frac=1, random_state=1)
    later_train, later_holdout = sides(split, model=model, rows=later)
    assert not set(train["id"]) & set(later_holdout["id"])
    assert not set(holdout["id"]) & set(later_train["id"])


@pytest.mark.parametrize("split", BY_CHANCE[:2], ids=lambda one: one.kind)
def test_a_null_that_comes_later_or_a_corrected_target_moves_no_row(split):
    model = MODEL.model_copy(update={"key": (), "event_time": None})
    rows = MANY.assign(count=range(len(MANY)))
    _, holdout = sides(split, model=model, rows=rows)
    nulled = pa.array([None, *range(1, len(rows))], pa.int64())
    changed = arrow(rows.assign(late=1 - rows["late"]))
    changed = changed.set_column(changed.schema.get_field_index("count"), "count", nulled)
    parts = split_rows(model, changed, split=split, seed=0)
    assert set(parts.holdout) ^ set(holdout.index) <= {0}


@pytest.mark.parametrize("split", BY_CHANCE, ids=lambda one: one.kind)
def test_copies_of_a_row_without_a_key_are_on_one_side(split):
    model = MODEL.model_copy(update={"key": (), "event_time": None})
    rows = pd.concat([MANY.head(1_000)] * 2, ignore_index=True)
    train, holdout = sides(split, model=model, rows=rows)
    assert not set(train["id"]) & set(holdout["id"])


def test_rows_without_a_time_are_learned_from_and_that_is_said():
    rows = ROWS.assign(seen=ROWS["seen"].where(ROWS["id"] % 10 > 0))
    parts = split_rows(MODEL, arrow(rows), split=TimeSplit(holdout=timedelta(days=20)), seed=0)
    assert not rows["seen"].iloc[parts.holdout].isna().any()
    assert parts.note.startswith("20 rows have no 'seen' and are among the training rows")
    check = judge_apart(MODEL, rows[["shop"]], arrow(rows), parts)
    assert parts.note in check.because


def test_a_few_mistyped_years_neither_shrink_the_holdout_nor_go_unsaid():
    now = ROWS["seen"].max().to_pydatetime()
    ahead = ROWS["id"] < 5
    rows = ROWS.assign(seen=ROWS["seen"].mask(ahead, ROWS["seen"] + timedelta(days=10_000)))
    split = TimeSplit(holdout=timedelta(days=40))
    right = split_rows(MODEL, arrow(ROWS), split=split, seed=0, now=now)
    typed = split_rows(MODEL, arrow(rows), split=split, seed=0, now=now)
    assert set(typed.holdout) == set(right.holdout) | set(np.flatnonzero(ahead))
    assert typed.note.startswith("5 rows with a known 'late' are dated after now, up to 20")
    assert right.note == ""


def test_a_table_that_is_dated_ahead_as_a_whole_is_split_by_its_own_times():
    now = ROWS["seen"].median().to_pydatetime()
    split = TimeSplit(holdout=timedelta(days=40))
    ahead = split_rows(MODEL, arrow(ROWS), split=split, seed=0, now=now)
    assert (ahead.holdout == split_rows(MODEL, arrow(ROWS), split=split, seed=0).holdout).all()
    assert "are dated after now" in ahead.note


def test_without_a_split_the_newest_fifth_is_held_out():
    _, holdout = sides(None)
    assert 39 <= len(holdout) <= 40
    assert holdout["seen"].min() > ROWS["seen"].min() + timedelta(days=150)


@pytest.mark.parametrize(
    ("task", "kind"), [(Task.BINARY, "stratified"), (Task.REGRESSION, "random")]
)
def test_without_times_rows_are_held_out_by_chance(task, kind):
    model = MODEL.model_copy(update={"event_time": None, "task": task})
    parts = split_rows(model, arrow(ROWS), split=None, seed=1)
    assert f'"kind":"{kind}"' in parts.told
    assert 20 <= len(parts.holdout) <= 60


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


HALF = {"train": np.arange(100), "holdout": np.arange(100, 200), "told": ""}


def judged(rows: pd.DataFrame, features: pd.DataFrame, *, model=MODEL, apart=("id",)):
    return judge_apart(model, features, arrow(rows), Parts(**HALF, apart=apart))


def test_PR1_a_key_on_both_sides_is_refused():
    rows = ROWS.assign(id=np.arange(200) % 150)
    check = judged(rows, rows[["shop"]].assign(x=range(200)))
    assert (check.outcome, check.severity) == (Outcome.REFUSED, Severity.CRITICAL)
    assert check.because.startswith(
        "50 holdout rows have a value of id that is in the training rows too."
    )


def test_PR1_a_group_on_both_sides_is_refused():
    check = judged(ROWS, ROWS[["shop"]], apart=("shop",))
    assert check.outcome is Outcome.REFUSED
    assert "100 holdout rows have a value of shop" in check.because


def test_PR1_a_copied_row_on_both_sides_is_refused_without_a_key():
    model = MODEL.model_copy(update={"key": ()})
    rows = pd.concat([ROWS.head(100), ROWS.head(30), ROWS.tail(70)], ignore_index=True)
    check = judged(rows, rows[["shop"]], model=model, apart=("id", "seen", "shop"))
    assert (check.outcome, check.severity) == (Outcome.REFUSED, Severity.CRITICAL)
    assert check.because.startswith("30 holdout rows have a value of id, seen, shop that")


def test_PR1_a_row_copied_under_another_key_warns():
    rows = pd.concat([ROWS.head(100), ROWS.head(30), ROWS.tail(70)], ignore_index=True)
    check = judged(rows.assign(id=range(200)), rows[["shop"]])
    assert (check.outcome, check.severity) == (Outcome.REFUSED, Severity.WARNING)
    assert check.because.startswith("30 holdout rows equal a training row in all but the key")


def test_PR1_equal_features_across_the_split_are_counted_and_not_refused():
    rows = ROWS.assign(late=0.0)
    check = judged(rows, pd.DataFrame({"x": [*range(100), *range(30), *range(200, 270)]}))
    assert check.outcome is Outcome.PASSED
    assert "30 holdout rows equal a training row" in check.because
    other = judged(rows.assign(late=np.arange(200) // 100), pd.DataFrame({"x": [1.0] * 200}))
    assert "0 holdout rows equal a training row" in other.because
