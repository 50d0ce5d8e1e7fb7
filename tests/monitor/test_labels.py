"""Labels as a model calls them, and how they are joined."""

import numpy as np
import pyarrow as pa
import pytest

from mlops_dagster.declaration import LabelJoin, Task
from mlops_dagster.errors import DataNotFitError
from mlops_dagster.monitor.label_places import read_places
from mlops_dagster.monitor.labels import latest_labels, read_labels, told
from tests.monitor.conftest import week_of_rows


def read(values, *, task=Task.BINARY, labels=(0, 1), as_json=False):
    column = pa.chunked_array([pa.array(values)])
    truth, readable = read_labels(column, task=task, labels=labels, as_json=as_json)
    return truth.to_pylist(), readable.to_pylist()


@pytest.mark.parametrize(
    "values", [[1, 0, None], [1.0, 0.0, None], ["1", "0", None], [True, False, None]]
)
def test_one_label_is_one_however_it_is_written(values):
    assert read(values) == ([1.0, 0.0, None], [True, True, True])


def test_feedback_is_read_as_json():
    truth, readable = read(["1", "true", '"0"', '"maybe"'], as_json=True)
    assert truth == [1.0, 1.0, 0.0, None]
    assert readable == [True, True, True, False]
    assert read(["1", "null"], as_json=True) == ([1.0, None], [True, True]), "null withdraws"


def test_of_two_labels_a_third_cannot_be_read_and_of_several_it_is_unknown_to_the_model():
    assert read(["yes", "perhaps"], labels=("no", "yes")) == ([1.0, None], [True, False])
    found = read(["a", "z"], task=Task.MULTICLASS, labels=("a", "b", "c"))
    assert found == ([0.0, -1.0], [True, True])


def test_numbers_are_read_as_numbers():
    found = read(["1.5", "much", None], task=Task.REGRESSION, labels=())
    assert found == ([1.5, None, None], [True, False, True])
    assert read([np.nan, 2.0], task=Task.REGRESSION, labels=())[0] == [None, 2.0]


@pytest.mark.parametrize("ids", [["1", "2"], [1, 2], [1.0, 2.0]])
def test_a_key_is_joined_whatever_its_type(ids):
    predictions = pa.table({"id": [1, 2, 3]})
    rows = pa.table({"id": ids, "outcome": [1, 0]})
    place = told(
        "source", rows, by={"id": "id"}, label="outcome", time=None, arrival=None,
        known=(Task.BINARY, (0, 1)),
    )  # fmt: skip
    found = latest_labels(predictions, [place])
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2])


def test_a_declared_column_that_is_missing_is_named(shop):
    shop.context.bench.tables.overwrite("shop/all/labels", pa.table({"id": [1]}))
    validated, join = shop.arrive(week_of_rows(0)), LabelJoin(label="outcome")
    with pytest.raises(DataNotFitError, match="outcome"):
        read_places(shop.context, validated, join, labels=(0, 1))
