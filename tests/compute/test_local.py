"""Queries by DuckDB, batches in a row, tasks in threads."""

import os
import threading

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from mlops_dagster.compute.local import Done, LocalCompute
from mlops_dagster.errors import DataNotFitError, StoreError

NUMBERS = pa.table({"n": list(range(1000))})
TOTAL = "SELECT sum(n)::BIGINT AS total FROM t"


def relation(kind, folder):
    """Make the same numbers as each kind of relation."""
    if kind == "reader":
        return NUMBERS.to_reader(max_chunksize=100)
    if kind == "dataset":
        pq.write_table(NUMBERS, folder / "n.parquet")
        return pads.dataset(folder / "n.parquet")
    return NUMBERS


@pytest.mark.parametrize("kind", ["table", "dataset", "reader"])
def test_a_query_reads_every_kind_of_relation(tmp_path, kind):
    compute = LocalCompute()
    answer = compute.sql(TOTAL, {"t": relation(kind, tmp_path)})
    assert answer.to_pylist() == [{"total": 499_500}]
    reader = compute.sql_batches(
        "SELECT n + 1 AS n FROM t", {"t": relation(kind, tmp_path)}, rows=64
    )
    assert sum(batch.num_rows for batch in reader) == 1000


def test_a_dataset_is_filtered_by_a_query(tmp_path):
    answer = LocalCompute().sql(
        "SELECT n FROM t WHERE n BETWEEN 3 AND 4 ORDER BY n", {"t": relation("dataset", tmp_path)}
    )
    assert answer["n"].to_pylist() == [3, 4]


def test_a_query_sees_the_given_tables_only():
    hidden = NUMBERS
    with pytest.raises(DataNotFitError, match="hidden does not exist"):
        LocalCompute().sql("SELECT * FROM hidden", {"t": hidden})


def test_queries_share_nothing():
    compute = LocalCompute(threads=1)
    compute.sql("CREATE TABLE kept AS SELECT 1 AS one", {})
    with pytest.raises(DataNotFitError, match="kept does not exist"):
        compute.sql("SELECT * FROM kept", {})


def test_a_query_that_needs_too_much_memory_says_what_to_do(tmp_path):
    spill = tmp_path / "not a folder"
    spill.write_text("")
    compute = LocalCompute(memory_limit="20MB", threads=1, spill=spill)
    with pytest.raises(StoreError, match="Raise memory_limit"):
        compute.sql("SELECT list(range) FROM range(20_000_000)", {})


def test_a_stream_that_is_left_early_ends():
    reader = LocalCompute().sql_batches("SELECT * FROM t", {"t": NUMBERS}, rows=10)
    first = reader.read_next_batch()
    reader.close()
    assert first.num_rows > 0


def test_the_state_for_batches_is_built_once():
    built = []

    def make():
        built.append(1)
        return lambda table: table.append_column("twice", [[2 * n for n in table["n"].to_pylist()]])

    tables = list(LocalCompute().map_batches(NUMBERS.to_batches(max_chunksize=300), make))
    assert [table.num_rows for table in tables] == [300, 300, 300, 100]
    assert pa.concat_tables(tables)["twice"].to_pylist() == [2 * n for n in range(1000)]
    assert built == [1]


def test_one_failed_task_does_not_stop_the_others():
    def half(number):
        if number % 2:
            raise ValueError(str(number))
        return number // 2

    done = list(LocalCompute().map_tasks(half, range(7), workers=2))
    assert [one.item for one in done] == list(range(7))
    assert [one.result for one in done if one.error is None] == [0, 1, 2, 3]
    assert [str(one.error) for one in done if one.error] == ["1", "3", "5"]
    with pytest.raises(ValueError, match="1"):
        done[1].value()
    assert done[2].value() == 1


def test_tasks_run_at_the_same_time():
    both = threading.Barrier(2, timeout=10)
    done = list(LocalCompute().map_tasks(lambda _: both.wait(), range(2), workers=2))
    assert all(one.error is None for one in done)


def test_workers_share_the_cores_and_leave_the_caller_its_own():
    from sklearn.utils._openmp_helpers import _openmp_effective_n_threads as openmp_threads

    before, cores = openmp_threads(), os.cpu_count() or 1
    tasks = LocalCompute().map_tasks(lambda _: openmp_threads(), range(4), workers=2)
    assert {one.value() for one in tasks} <= set(range(1, max(1, cores // 2) + 1))
    assert openmp_threads() == before


def test_an_endless_source_of_tasks_can_be_left():
    taken = []

    def source():
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    results = LocalCompute().map_tasks(lambda n: n, source(), workers=2)
    assert next(results) == Done(0, result=0)
    results.close()
    assert len(taken) < 10
