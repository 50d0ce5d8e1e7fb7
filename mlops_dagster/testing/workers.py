# ruff: noqa: S101, D102 - these are tests; their names say what they claim
"""The contract of what the endpoint's workers tell of themselves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlops_dagster.stores.operations import Operations, Worker
from mlops_dagster.stores.traffic import Traffic

_AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
_WORKER = Worker(
    worker="a",
    model="churn",
    segment="all",
    address="http://127.0.0.1:8080",
    version="3",
    problem="",
    pid=7,
    seen_at=_AT,
    traffic=(Traffic(version="3", part="live", since=_AT, requests=5, scores=5, total=2.5),),
)


class WorkersContract:
    """What every list of workers must do."""

    @pytest.fixture
    def operations(self) -> Operations:
        """The database to test, empty."""
        raise NotImplementedError

    def test_a_worker_is_listed_as_it_told_last(self, operations: Operations) -> None:
        later = replace(_WORKER, version="4", seen_at=_AT + timedelta(seconds=1))
        operations.beat(_WORKER)
        operations.beat(later)
        operations.beat(replace(_WORKER, worker="b", model="fraud"))
        assert operations.workers("churn", "all", since=_AT) == [later]

    def test_a_worker_that_is_silent_or_gone_is_not_listed(self, operations: Operations) -> None:
        operations.beat(_WORKER)
        operations.beat(replace(_WORKER, worker="b", seen_at=_AT + timedelta(minutes=1)))
        assert [one.worker for one in operations.workers("churn", "all", since=_AT)] == ["a", "b"]
        operations.leave("b")
        assert operations.workers("churn", "all", since=_AT + timedelta(seconds=1)) == []
