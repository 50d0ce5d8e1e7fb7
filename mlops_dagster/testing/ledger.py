# ruff: noqa: S101, D102 - these are tests; their names say what they claim
"""The contract of the ledger of moves."""

import dataclasses
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_dagster.errors import ConflictError, StoreError
from mlops_dagster.records import Move
from mlops_dagster.stores.operations import Operations

MODEL = ("churn", "all")
AT = datetime(2026, 3, 1, 12, 30, 0, 250, tzinfo=UTC)


def a_move(**changes: Any) -> Move:
    """Make a move."""
    move = Move(
        model="churn",
        segment="all",
        registered_name="churn",
        from_version=None,
        to_version="1",
        who="ann",
        why="first",
        kind="promotion",
        state="open",
        at=AT,
        recorded_at=AT,
    )
    return dataclasses.replace(move, **changes)


class LedgerContract:
    """What every ledger must do."""

    @pytest.fixture
    def operations(self) -> Operations:
        """The database to test, empty."""
        raise NotImplementedError

    def test_one_move_of_a_model_is_open_at_most(self, operations: Operations) -> None:
        opened = operations.open_move(a_move())
        assert operations.moves(*MODEL, state="open") == [opened]
        with pytest.raises(ConflictError, match="to version 1 by ann"):
            operations.open_move(a_move(to_version="2"))
        other = operations.open_move(a_move(segment="north"))
        operations.close_move(opened.id, state="done")
        again = operations.open_move(a_move(to_version="2"))
        assert operations.moves(*MODEL) == [dataclasses.replace(opened, state="done"), again]
        assert len({opened.id, other.id, again.id}) == 3

    def test_of_four_that_open_a_move_at_once_one_wins(self, operations: Operations) -> None:
        wins: list[Move] = []

        def opens(number: int) -> None:
            try:
                wins.append(operations.open_move(a_move(to_version=str(number))))
            except ConflictError:
                return

        run_together(opens, 4)
        assert operations.moves(*MODEL, state="open") == wins

    def test_a_closed_move_stays_as_it_ended(self, operations: Operations) -> None:
        opened = operations.open_move(a_move())
        operations.close_move(opened.id, state="undone", why="did not load")
        operations.close_move(opened.id, state="undone")
        with pytest.raises(ConflictError, match="is undone already"):
            operations.close_move(opened.id, state="done")
        with pytest.raises(StoreError, match="there is no move"):
            operations.close_move(opened.id + 1, state="done")
        assert operations.moves(*MODEL)[0].why == "did not load"

    def test_the_champion_of_an_instant_is_the_last_done_move(self, operations: Operations) -> None:
        for day, version in enumerate(["1", "2", "3"]):
            move = a_move(to_version=version, at=AT + timedelta(days=day))
            operations.close_move(operations.open_move(move).id, state="done")
        operations.close_move(
            operations.open_move(a_move(to_version="4", at=AT + timedelta(days=1))).id,
            state="undone",
        )
        assert operations.champion_at(*MODEL, instant=AT - timedelta(seconds=1)) is None
        found = operations.champion_at(*MODEL, instant=AT + timedelta(days=1))
        assert found is not None
        assert found.to_version == "2"
        assert found.at == AT + timedelta(days=1)

    def test_a_time_without_a_zone_is_refused(self, operations: Operations) -> None:
        naive = AT.replace(tzinfo=None)
        with pytest.raises(StoreError, match="has no time zone"):
            operations.champion_at(*MODEL, instant=naive)


def run_together(work: Any, number: int) -> None:
    """Run `work(0)`, `work(1)`, ... in threads that start at once; raise what one raises."""
    start = threading.Barrier(number)
    errors: list[Exception] = []

    def one(index: int) -> None:
        start.wait()
        try:
            work(index)
        except Exception as error:  # noqa: BLE001 - carried to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
