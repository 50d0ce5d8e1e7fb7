# ruff: noqa: S101, D102 - these are tests; their names say what they claim
"""The contract of `TableStore` as tests."""

import pyarrow as pa
import pytest

from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.stores.hashes import hex_digests
from mlops_dagster.stores.tables import TableStore, TableVersion

NAME = "churn/all/raw_data"
ROWS = pa.table({"id": ["a", "b", "c"], "paid": [1.5, None, 3.0], "_batch": [1, 1, 1]})


def kept_ids(tables: TableStore, *, version: int | None = None) -> list[str]:
    """Read the sorted keys of a version."""
    return sorted(tables.read(NAME, version=version, columns=["id"])["id"].to_pylist())


def assert_true_to_its_rows(tables: TableStore, said: TableVersion) -> None:
    """See that what a write said is what is there."""
    rows = tables.read(said.ref.name, version=said.ref.version)
    assert (said.ref.rows, said.ref.digest) == (rows.num_rows, digest_of_table(rows))
    assert tables.at(said.ref.name, said.ref.version) == said


class TableStoreContract:
    """Give the fixture `tables`: an empty store."""

    @pytest.fixture
    def tables(self) -> TableStore:
        """Open an empty store."""
        raise NotImplementedError

    def test_there_is_no_table_before_the_first_write(self, tables: TableStore) -> None:
        assert tables.latest(NAME) is None
        with pytest.raises(StoreError, match=NAME):
            tables.read(NAME)

    def test_what_was_written_is_read_and_told(self, tables: TableStore) -> None:
        said = tables.append(NAME, ROWS)
        assert tables.read(NAME).sort_by("id").equals(ROWS.sort_by("id"))
        assert tables.latest(NAME) == said
        assert_true_to_its_rows(tables, said)

    def test_an_older_version_gives_the_rows_of_then(self, tables: TableStore) -> None:
        first = tables.append(NAME, ROWS)
        tables.append(NAME, ROWS.set_column(0, "id", [["d", "e", "f"]]))
        tables.overwrite(NAME, ROWS.slice(0, 1))
        assert kept_ids(tables, version=first.ref.version) == ["a", "b", "c"]
        assert tables.at(NAME, first.ref.version) == first

    def test_a_version_that_is_not_there_is_a_store_error(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS)
        with pytest.raises(StoreError, match="99"):
            tables.at(NAME, 99)

    def test_the_digest_is_of_content_not_of_history(self, tables: TableStore) -> None:
        whole = tables.append("churn/all/whole", ROWS)
        tables.append("churn/all/parts", ROWS.slice(2, 1))
        parts = tables.append("churn/all/parts", ROWS.slice(0, 2))
        assert parts.ref.digest == whole.ref.digest

    def test_a_column_of_ours_is_kept_but_not_in_the_digest(self, tables: TableStore) -> None:
        said = tables.append(NAME, ROWS)
        other = tables.append("churn/all/other", ROWS.set_column(2, "_batch", [[7, 8, 9]]))
        assert other.ref.digest == said.ref.digest
        assert tables.read("churn/all/other")["_batch"].to_pylist() == [7, 8, 9]

    def test_hashes_that_come_with_the_rows_make_no_difference(self, tables: TableStore) -> None:
        rows = ROWS.append_column("told", hex_digests(pa.array(["a", "b", "c"])))
        assert_true_to_its_rows(tables, tables.append(NAME, rows, hashed={"id": "told"}))
        assert_true_to_its_rows(tables, tables.append(NAME, rows, hashed={"id": "told"}))

    def test_state_is_carried_over_until_named_again(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS, state={"cursor": "3", "etag": "x"})
        said = tables.overwrite(NAME, ROWS, state={"cursor": "4"})
        assert said.state == {"cursor": "4", "etag": "x"}

    def test_no_rows_commit_the_state_alone(self, tables: TableStore) -> None:
        first = tables.append(NAME, ROWS, state={"cursor": "3"})
        said = tables.append(NAME, ROWS.slice(0, 0), state={"cursor": "4"})
        assert said.state == {"cursor": "4"}
        assert (said.ref.digest, said.ref.rows) == (first.ref.digest, 3)

    def test_upsert_adds_the_new_and_replaces_the_known(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS)
        said = tables.upsert(NAME, pa.table({"id": ["c", "d"], "paid": [9.0, 4.0]}), key=["id"])
        rows = tables.read(NAME).sort_by("id")
        assert rows["id"].to_pylist() == ["a", "b", "c", "d"]
        assert rows["paid"].to_pylist() == [1.5, None, 9.0, 4.0]
        assert_true_to_its_rows(tables, said)

    def test_a_row_is_found_by_its_value_whoever_wrote_it(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS)
        tables.append(NAME, pa.table({"id": ["it's", "é"], "paid": [4.0, 5.0], "new": [1, 2]}))
        tables.upsert(NAME, pa.table({"id": ["b"], "paid": [2.5]}), key=["id"])
        found = tables.find(NAME, "id", "b")
        assert found.to_pylist() == [{"id": "b", "paid": 2.5, "_batch": None, "new": None}]
        assert found.schema == tables.dataset(NAME).schema
        assert tables.find(NAME, "id", "it's")["paid"].to_pylist() == [4.0]
        assert tables.find(NAME, "new", 2)["id"].to_pylist() == ["é"]
        assert tables.find(NAME, "id", "z").num_rows == 0
        tables.overwrite(NAME, ROWS.slice(0, 1))
        assert tables.find(NAME, "id", "b").num_rows == 0

    def test_what_cannot_be_found_is_said(self, tables: TableStore) -> None:
        with pytest.raises(StoreError, match=NAME):
            tables.find(NAME, "id", "a")
        tables.append(NAME, ROWS)
        with pytest.raises(DataNotFitError, match="nome"):
            tables.find(NAME, "nome", "a")
        with pytest.raises(DataNotFitError, match="'x' is no value of column '_batch'"):
            tables.find(NAME, "_batch", "x")

    def test_the_same_upsert_twice_changes_no_content(self, tables: TableStore) -> None:
        nulls = pa.table({"id": ["a", None], "paid": [1.0, 2.0]})
        first = tables.upsert(NAME, nulls, key=["id"])
        again = tables.upsert(NAME, nulls, key=["id"])
        assert (again.ref.digest, again.ref.rows) == (first.ref.digest, 2)

    def test_upsert_leaves_one_row_where_the_key_was_twice(self, tables: TableStore) -> None:
        tables.append(NAME, pa.concat_tables([ROWS, ROWS.slice(0, 1)]))
        said = tables.upsert(NAME, pa.table({"id": ["a"], "paid": [7.0]}), key=["id"])
        assert kept_ids(tables) == ["a", "b", "c"]
        assert_true_to_its_rows(tables, said)

    def test_upsert_refuses_a_key_that_comes_twice(self, tables: TableStore) -> None:
        with pytest.raises(DataNotFitError, match="2 rows have only 1 different keys"):
            tables.upsert(NAME, pa.table({"id": ["a", "a"]}), key=["id"])

    def test_replacing_a_part_twice_is_once(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS)
        part = pa.table({"id": ["c", "c"], "paid": [5.0, 6.0]})
        first = tables.replace(NAME, part, where={"id": "c"})
        again = tables.replace(NAME, part, where={"id": "c"})
        assert kept_ids(tables) == ["a", "b", "c", "c"]
        assert first.ref.digest == again.ref.digest
        assert_true_to_its_rows(tables, again)

    def test_replacing_by_no_rows_removes_the_part(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS)
        said = tables.replace(NAME, ROWS.slice(0, 0), where={"id": "c"})
        assert kept_ids(tables) == ["a", "b"]
        assert_true_to_its_rows(tables, said)

    def test_replace_refuses_rows_outside_of_its_part(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS)
        with pytest.raises(DataNotFitError, match="2 of 3 rows have another 'id' than 'c'"):
            tables.replace(NAME, ROWS, where={"id": "c"})

    def test_a_changed_type_is_refused_and_changes_nothing(self, tables: TableStore) -> None:
        before = tables.append(NAME, ROWS)
        with pytest.raises(
            DataNotFitError, match="'paid' is stored as double and arrives as string"
        ):
            tables.append(NAME, pa.table({"id": ["d"], "paid": ["much"]}))
        assert tables.latest(NAME) == before

    def test_numbers_are_cast_when_nothing_is_lost(self, tables: TableStore) -> None:
        tables.append(NAME, pa.table({"id": ["a"], "whole": [1], "broken": [1.5]}))
        said = tables.append(NAME, pa.table({"id": ["b"], "whole": [2.0], "broken": [2]}))
        assert tables.read(NAME)["whole"].type == pa.int64()
        assert tables.read(NAME)["broken"].type == pa.float64()
        assert_true_to_its_rows(tables, said)
        with pytest.raises(DataNotFitError, match="'whole' is stored as int64"):
            tables.append(NAME, pa.table({"id": ["c"], "whole": [2.5]}))

    @pytest.mark.parametrize("key", [["id"], []], ids=["upsert", "append"])
    def test_whole_numbers_widen_in_all_rows_when_asked(
        self, key: list[str], tables: TableStore
    ) -> None:
        before = tables.append(
            NAME, pa.table({"id": ["a", "b"], "whole": [1, None], "_batch": [1, 2]})
        )
        rows = pa.table({"id": ["b", "c"], "whole": [2.5, 3.0], "_batch": [3, 3]})
        said = (
            tables.upsert(NAME, rows, key=key, widening=True)
            if key
            else tables.append(NAME, rows.slice(1).set_column(1, "whole", [[2.5]]), widening=True)
        )
        kept = tables.read(NAME).sort_by("id")
        assert kept["whole"].type == pa.float64()
        assert kept["whole"].to_pylist() == ([1.0, 2.5, 3.0] if key else [1.0, None, 2.5])
        assert kept["_batch"].to_pylist() == ([1, 3, 3] if key else [1, 2, 3])
        assert tables.read(NAME, version=before.ref.version)["whole"].type == pa.int64()
        assert_true_to_its_rows(tables, said)
        assert_true_to_its_rows(tables, tables.append(NAME, pa.table({"id": ["d"], "whole": [4]})))

    def test_whole_numbers_that_a_double_cannot_hold_do_not_widen(self, tables: TableStore) -> None:
        before = tables.append(NAME, pa.table({"id": ["a"], "whole": [2**53 + 1]}))
        with pytest.raises(DataNotFitError, match="'whole' gets decimals, and it holds whole num"):
            tables.append(NAME, pa.table({"id": ["b"], "whole": [0.5]}), widening=True)
        assert tables.latest(NAME) == before

    def test_new_columns_are_added_and_missing_ones_are_null(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS)
        said = tables.append(NAME, pa.table({"id": ["d"], "note": ["new"]}))
        rows = tables.read(NAME).sort_by("id")
        assert rows["note"].to_pylist() == [None, None, None, "new"]
        assert rows["paid"].to_pylist() == [1.5, None, 3.0, None]
        assert_true_to_its_rows(tables, said)

    def test_batches_are_bounded_and_complete(self, tables: TableStore) -> None:
        tables.append(NAME, pa.table({"id": [str(one) for one in range(1000)]}))
        sizes = [batch.num_rows for batch in tables.batches(NAME, rows=300)]
        assert max(sizes) <= 300
        assert sum(sizes) == 1000

    def test_an_unknown_column_is_named(self, tables: TableStore) -> None:
        tables.append(NAME, ROWS)
        with pytest.raises(DataNotFitError, match=r"'pald' is missing\. Did you mean 'paid'"):
            tables.read(NAME, columns=["pald"])

    def test_a_dataset_filters_without_loading(self, tables: TableStore) -> None:
        first = tables.append(NAME, ROWS)
        tables.append(NAME, ROWS)
        dataset = tables.dataset(NAME, version=first.ref.version)
        assert dataset.count_rows() == 3
