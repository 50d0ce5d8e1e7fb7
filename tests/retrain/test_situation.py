"""How many rows came since the last training, on real stores."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from mlops_dagster.clock import ReplayClock
from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.records import FeatureSet, Snapshot, TableRef, TrainedModel
from mlops_dagster.retrain.situation import new_labelled_rows
from mlops_dagster.stores.records import RecordAddress
from mlops_dagster.workbench import Workbench

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = ModelIdentity(name="churn", task=Task.BINARY, target="left", key=("id",))
TABLE = "churn/all/validated_data"
STAMP = {
    "model": "churn",
    "segment": "all",
    "run_id": "r1",
    "made_at": NOW,
    "recorded_at": NOW,
    "data_version": "v",
}


class Rows:
    """Accepted rows that come in batches."""

    def __init__(self, home) -> None:
        clock = ReplayClock(home / "now")
        clock.set(NOW)
        self.bench = Workbench(home=home, clock=clock)
        self.batch = 0

    def table(self, ids, left) -> tuple[pa.Table, dict[str, str]]:
        self.batch += 1
        rows = {"id": ids, "left": pa.array(left, pa.float64()), "_batch": [self.batch] * len(ids)}
        return pa.table(rows), {"accepted_to": str(self.batch)}

    def come(self, ids, left) -> Snapshot:
        rows, state = self.table(ids, left)
        return self.snapshot(self.bench.tables.upsert(TABLE, rows, key=("id",), state=state).ref)

    def replace(self, ids, left) -> Snapshot:
        rows, state = self.table(ids, left)
        return self.snapshot(self.bench.tables.overwrite(TABLE, rows, state=state).ref)

    def snapshot(self, ref: TableRef) -> Snapshot:
        return Snapshot(**STAMP, table=ref, new_rows=0, through=self.batch)

    def train(self, on: Snapshot) -> TrainedModel:
        features = TableRef(name="churn/all/features", version=0, digest="f", rows=on.table.rows)
        made = FeatureSet(
            **STAMP, table=features, source=on.table, lookups={}, inputs=(), columns=(),
            code_digest="c",
        )  # fmt: skip
        address = RecordAddress(
            model="churn", segment="all", noun="features", run_id="r1", step="s"
        )
        self.bench.records.write(address, made)
        return TrainedModel(
            **STAMP, mlflow_run_id="m", model_id="m", model_uri="u", artifact_sha256="a",
            features=features, holdout=features, source_digest=on.table.digest, code_digest="c",
            git_commit="g", git_dirty=False, rows=features.rows,
        )  # fmt: skip

    def new(self, validated: Snapshot, trained: TrainedModel | None) -> int:
        return new_labelled_rows(self.bench, MODEL, validated, trained)


@pytest.fixture
def rows(tmp_path):
    return Rows(tmp_path)


def test_before_the_first_training_every_labelled_row_is_new(rows):
    assert rows.new(rows.come([1, 2, 3], [1.0, None, 0.0]), None) == 2


def test_the_rows_trained_on_are_not_new(rows):
    validated = rows.come([1, 2, 3], [1.0, 0.0, 0.0])
    assert rows.new(validated, rows.train(validated)) == 0


def test_rows_that_came_and_labels_that_came_late_are_new(rows):
    trained = rows.train(rows.come([1, 2, 3], [1.0, None, None]))
    assert rows.new(rows.come([2, 4, 5], [1.0, 0.0, None]), trained) == 2


def test_a_snapshot_of_as_many_rows_is_new_as_a_whole(rows):
    trained = rows.train(rows.replace([1, 2, 3], [1.0, 0.0, 0.0]))
    assert rows.new(rows.replace([2, 3, 4], [0.0, 0.0, None]), trained) == 2


def test_a_target_that_is_not_a_number_is_no_label(rows):
    first = rows.come([1, 2, 3], [1.0, 0.0, float("nan")])
    assert rows.new(first, None) == 2
    trained = rows.train(first)
    assert rows.new(rows.come([4, 5, 6], [float("nan"), 1.0, None]), trained) == 1
