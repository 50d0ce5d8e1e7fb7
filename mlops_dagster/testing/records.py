# ruff: noqa: S101, D102 - these are tests; their names say what they claim
"""The contract of `RecordStore` as tests."""

import dataclasses
import math
from datetime import UTC, datetime

import pytest

from mlops_dagster.errors import ConflictError, StoreError
from mlops_dagster.records import Check, Evaluation, Outcome, Shown, Snapshot, TableRef
from mlops_dagster.stores.records import RecordAddress, RecordStore

ADDRESS = RecordAddress(
    model="churn",
    segment="all",
    noun="raw_data",
    run_id="run-1",
    step="ingest",
    partition="2026-03",
)
SNAPSHOT = Snapshot(
    model="churn",
    segment="all",
    run_id="run-1",
    made_at=datetime(2026, 3, 1, tzinfo=UTC),
    recorded_at=datetime(2026, 3, 1, 0, 0, 1, 5, tzinfo=UTC),
    data_version="v1:00",
    outcome=Outcome.REFUSED,
    because="too few rows",
    checks=(Check(name="rows", outcome=Outcome.REFUSED, because="1 < 2"),),
    shown={"sample": Shown(kind="json", value={"rows": [1, 2.5, None, "x", True, [{}]]})},
    table=TableRef(name="churn/all/raw_data", version=1, digest="v1:00", rows=3),
    new_rows=3,
    through=1,
    newest=datetime(2026, 2, 28, tzinfo=UTC),
    lookups={"plans": TableRef(name="churn/all/plans", version=0, digest="v1:01", rows=1)},
)


class RecordStoreContract:
    """Give the fixture `records`: an empty store."""

    @pytest.fixture
    def records(self) -> RecordStore:
        """Open an empty store."""
        raise NotImplementedError

    def test_a_record_is_read_as_it_was_written(self, records: RecordStore) -> None:
        path = records.write(ADDRESS, SNAPSHOT)
        assert path == ADDRESS.path
        assert records.read(path, Snapshot) == SNAPSHOT

    def test_a_metric_that_is_no_number_is_kept(self, records: RecordStore) -> None:
        record = Evaluation(
            model="churn",
            segment="all",
            run_id="run-1",
            made_at=SNAPSHOT.made_at,
            recorded_at=SNAPSHOT.recorded_at,
            data_version="x",
            mlflow_run_id="r",
            model_id="m",
            metrics={"auc": math.nan, "loss": math.inf},
            champion_version=None,
            champion_metrics={},
        )
        read = records.read(records.write(ADDRESS, record), Evaluation)
        assert math.isnan(read.metrics["auc"])
        assert read.metrics["loss"] == math.inf

    def test_the_same_record_again_is_no_error(self, records: RecordStore) -> None:
        assert records.write(ADDRESS, SNAPSHOT) == records.write(ADDRESS, SNAPSHOT)

    def test_no_record_is_written_over_another(self, records: RecordStore) -> None:
        path = records.write(ADDRESS, SNAPSHOT)
        with pytest.raises(ConflictError, match="records are never replaced"):
            records.write(ADDRESS, dataclasses.replace(SNAPSHOT, new_rows=4))
        assert records.read(path, Snapshot) == SNAPSHOT

    def test_a_missing_record_is_a_store_error(self, records: RecordStore) -> None:
        with pytest.raises(StoreError, match="there is no such record"):
            records.read(ADDRESS.path, Snapshot)

    def test_a_record_of_a_later_format_asks_for_an_upgrade(self, records: RecordStore) -> None:
        path = records.write(ADDRESS, dataclasses.replace(SNAPSHOT, format=99))
        with pytest.raises(StoreError, match=r"format 99.*Upgrade the package"):
            records.read(path, Snapshot)

    def test_another_kind_of_record_is_not_taken_for_it(self, records: RecordStore) -> None:
        path = records.write(ADDRESS, SNAPSHOT)
        with pytest.raises(StoreError, match="this is no Evaluation"):
            records.read(path, Evaluation)

    def test_the_newest_record_of_a_run_is_found(self, records: RecordStore) -> None:
        later = dataclasses.replace(SNAPSHOT, recorded_at=datetime(2026, 3, 2, tzinfo=UTC))
        records.write(dataclasses.replace(ADDRESS, step="z"), SNAPSHOT)
        records.write(dataclasses.replace(ADDRESS, step="a", partition="other"), later)
        records.write(dataclasses.replace(ADDRESS, run_id="run-2"), SNAPSHOT)
        assert records.of_run("churn", "all", "raw_data", "run-1", Snapshot) == later
        assert records.of_run("churn", "all", "raw_data", "run-3", Snapshot) is None
        assert records.of_run("churn", "all", "features", "run-1", Snapshot) is None
