import dataclasses
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.declaration import Task
from mlops_dagster.errors import StoreError
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.profiles.answers import answer_reference, read_answers, write_answers
from mlops_dagster.profiles.groups import NULL, OTHER, as_text, group_labels, group_values
from mlops_dagster.profiles.past import Every
from mlops_dagster.profiles.tables import profile_of


def reference(rows: int = 2_000):
    chance = np.random.default_rng(0)
    share = chance.random(rows)
    truth = (chance.random(rows) < share).astype(int)
    frame = pd.DataFrame(
        {"shop": chance.choice(["a", "b"], rows), "delay": chance.normal(size=rows)}
    )
    answers = pa.table({"probability": share})
    scored = Scored(
        y_true=truth, y_pred=(share >= 0.5).astype(int), probability=share, labels=(0, 1)
    )
    return answer_reference(
        Task.BINARY,
        scored,
        metrics={"roc_auc": 0.8, "f1": float("nan")},
        slices=frame[["shop"]],
        features=frame,
        every=Every(
            scored=scored,
            held_out=np.arange(rows) >= rows - 100,
            windows=np.repeat(np.arange(20.0), rows // 20),
            slices=frame[["shop"]],
            answers=answers,
        ),
        answers=(answers, profile_of(answers)),
    )


def test_a_reference_is_read_back_as_it_was_written(tmp_path):
    made = reference()
    write_answers(tmp_path, made)
    assert read_answers(tmp_path) == made
    assert made.loss.rows == 2_000
    assert len(made.loss.windows) == 20
    assert dict(made.metrics) == {"roc_auc": 0.8}


def test_no_row_is_kept(tmp_path):
    small, large = reference(2_000), reference(20_000)
    sizes = [write_answers(tmp_path, one).stat().st_size for one in (small, large)]
    assert sizes[1] < sizes[0] * 1.5 < 60_000


def test_slices_and_features_hold_the_losses_of_their_groups(tmp_path):
    made = reference()
    [shop] = made.slices
    assert sorted(shop.losses) == ["a", "b"]
    assert sum(one.rows for one in shop.losses.values()) == 2_000
    assert sorted(made.slice_answers["shop"]) == ["a", "b"]
    assert {len(one.windows) for one in shop.losses.values()} == {20}
    whole = [sum(one.rows for one in each) for each in zip(*cut_of(made), strict=True)]
    assert whole == [100] * 20
    assert [one.grouping.column for one in made.features] == ["shop", "delay"]
    assert len(made.features[1].losses) == 10


def cut_of(made):
    return [one.windows for one in made.slice_answers["shop"].values()]


def test_a_model_without_a_reference_has_none_and_a_later_format_is_refused(tmp_path):
    assert read_answers(tmp_path) is None
    path = write_answers(tmp_path, reference())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(StoreError, match="format 9, this version reads 1"):
        read_answers(tmp_path)


def test_whole_numbers_and_truth_values_are_one_label_however_they_are_stored():
    stored = pd.Series([1, 0, 1])
    served = pd.Series([1.0, 0.0, np.nan])
    assert as_text(stored).tolist() == ["1", "0", "1"]
    assert as_text(served).tolist() == ["1", "0", NULL]
    assert as_text(pd.Series([True, False])).tolist() == ["1", "0"]


def test_a_label_that_was_not_there_is_another_and_a_number_lies_in_a_range():
    grouping = group_labels("shop", pd.Series(["a", "b"]))
    assert grouping.of(pd.Series(["a", "z", None])).tolist() == ["a", OTHER, OTHER]
    numbers = group_values("delay", pd.Series(np.arange(1_000.0)))
    found = numbers.of(pd.Series([-5.0, 150.0, 5_000.0, np.nan])).tolist()
    assert found == ["up to 99.9", "99.9 to 199.8", "over 899.1", NULL]


def test_windows_of_fitted_rows_are_brought_to_the_level_of_held_out_ones():
    chance = np.random.default_rng(1)
    week = np.repeat(np.arange(30.0), 500)
    wobble = np.repeat(1 + 0.2 * chance.normal(size=30), 500)
    made = np.abs(chance.normal(size=len(week))) * wobble

    def numbers(losses):
        zero = np.zeros(len(losses))
        return Scored(y_true=losses, y_pred=zero, probability=None, labels=())

    def loss_of(fitted_share):
        every = made.copy()
        every[: 28 * 500] *= fitted_share  # what was learned by heart
        found = answer_reference(
            Task.REGRESSION,
            numbers(made[28 * 500 :]),
            metrics={},
            slices=pd.DataFrame(index=range(1_000)),
            features=pd.DataFrame(index=range(1_000)),
            every=Every(scored=numbers(every), held_out=week >= 28, windows=week),
        )
        return found.loss

    honest, learned = loss_of(1.0), loss_of(0.5)
    assert honest.long == learned.long == 2.0
    assert np.mean(learned.windows) == pytest.approx(learned.mean, rel=0.1)
    limits = [one.limit_over_time(quantile=0.99) for one in (honest, learned)]
    assert limits[1] == pytest.approx(limits[0], rel=0.2)
    short = honest.limit_over_time(quantile=0.99)
    assert short > dataclasses.replace(honest, long=0.0).limit_over_time(quantile=0.99)
