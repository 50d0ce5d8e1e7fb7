"""A cursor loses no row: ties, rows without one, and times that are kept as text."""

import sqlite3
from decimal import Decimal

import pytest

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.ingest.arrivals import source_state
from mlops_dagster.ingest.run import run
from mlops_dagster.ingest.source_sql import _column
from mlops_dagster.ingest.spec import IngestSpec


@pytest.fixture
def orders(open_step, tmp_path):
    """A SQLite table, and how it is taken in."""
    file = tmp_path / "orders.db"
    source = {"kind": "sql", "url": f"sqlite:///{file}", "table": "orders"}
    spec = IngestSpec(source=source, cursor="seen")

    class Orders:
        declared = spec

        def execute(self, statement: str, *values: object) -> None:
            with sqlite3.connect(file) as connection:
                connection.execute(statement, values)
            connection.close()

        def add(self, number: int, seen: object, late: object = 0) -> None:
            self.execute("insert into orders values (?, ?, ?)", number, seen, late)

        def take(self, key=(), event_time=None):
            return run(open_step(key=key, event_time=event_time), spec)

        def ids(self) -> list[int]:
            rows = open_step().bench.tables.read("shop/all/raw_data")
            return sorted(rows["id"].to_pylist())

    made = Orders()
    made.execute("create table orders (id integer, seen, late integer)")
    return made


def test_rows_that_come_later_with_the_cursor_of_the_last_one_are_taken_once(orders):
    orders.add(1, 10)
    orders.take()
    orders.add(2, 10)
    orders.add(2, 10)
    assert orders.take().new_rows == 2
    assert (orders.take().new_rows, orders.ids()) == (0, [1, 2, 2])
    orders.add(2, 10)
    orders.add(3, 11)
    assert orders.take().new_rows == 2
    assert (orders.take().new_rows, orders.ids()) == (0, [1, 2, 2, 2, 3])


def test_a_column_that_is_added_to_the_newest_row_makes_no_second_one(orders):
    orders.add(1, 10)
    orders.take()
    orders.execute("alter table orders add column carrier text default 'UA'")
    assert orders.take().new_rows == 0


def test_a_row_without_a_cursor_is_told_and_with_a_key_taken(orders):
    orders.add(1, 10)
    orders.take()
    orders.add(2, None)
    with pytest.raises(DataNotFitError, match="1 of 2 rows have no value in the cursor column"):
        orders.take()


def test_with_a_key_a_row_without_a_cursor_is_taken(orders):
    orders.add(1, 10)
    orders.take(key=("id",))
    orders.add(2, None)
    assert orders.take(key=("id",)).new_rows == 1
    assert (orders.take(key=("id",)).new_rows, orders.ids()) == (0, [1, 2])


@pytest.mark.parametrize("key", [(), ("id",)], ids=["appended", "keyed"])
@pytest.mark.parametrize("event_time", [None, "seen"])
def test_times_as_text_with_other_zones_are_compared_as_instants(key, event_time, orders):
    orders.add(1, "2024-01-01T02:00:00+02:00")
    orders.take(key=key, event_time=event_time)
    orders.add(2, "2023-12-31T23:30:00-01:00")
    orders.add(3, "2024-01-01 00:10:00Z")
    assert orders.take(key=key, event_time=event_time).new_rows == 2
    assert orders.take(key=key, event_time=event_time).new_rows == 0
    assert orders.ids() == [1, 2, 3]


def test_a_text_cursor_that_gets_time_zones_is_refused(orders):
    orders.add(1, "2024-01-01T02:00:00")
    orders.take()
    orders.execute("update orders set seen = seen || '+02:00'")
    with pytest.raises(DataNotFitError, match="text, which does not sort by time"):
        orders.take()


def test_a_late_target_changes_the_state_of_a_database(orders, open_step):
    orders.add(1, 10, None)
    model = open_step().model
    first = source_state(model, orders.declared)
    orders.execute("update orders set late = 1")
    assert source_state(model, orders.declared) != first


def test_a_decimal_that_a_float_would_round_is_refused():
    values = [Decimal("1.50"), None, Decimal(2**53)]
    assert _column("price", values, where="shop").to_pylist() == [1.5, None, float(2**53)]
    with pytest.raises(
        DataNotFitError, match="'id' holds 9007199254740993, which a floating-point"
    ):
        _column("id", [Decimal(2**53 + 1)], where="shop")
