"""Delta tables: the contract, and what is Delta's own."""

import datetime as dt
import json
import os
import threading
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.stores import content
from mlops_dagster.stores.content import digest_of_table
from mlops_dagster.stores.delta import DeltaTables
from mlops_dagster.stores.streams import stream
from mlops_dagster.testing.tables import (
    NAME,
    ROWS,
    TableStoreContract,
    assert_true_to_its_rows,
    kept_ids,
)

LONG_AGO_S = 1_000_000_000


@pytest.fixture
def tables(tmp_path):
    return DeltaTables(str(tmp_path / "a lake"))


class TestDeltaTables(TableStoreContract):
    @pytest.fixture
    def tables(self, tmp_path):
        return DeltaTables(str(tmp_path / "a lake"))


def test_a_version_older_than_the_log_retention_still_opens(tables):
    for number in range(3):
        said = tables.overwrite(NAME, pa.table({"id": [str(number)]}))
    log = tables.root + f"/{NAME}/_delta_log"
    for name in os.listdir(log):  # noqa: PTH208
        os.utime(f"{log}/{name}", (LONG_AGO_S, LONG_AGO_S))
    table = DeltaTable(said.uri)
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 1 second"})
    table = DeltaTable(said.uri)
    table.create_checkpoint()
    write_deltalake(table, pa.table({"id": ["9"]}), mode="append")
    assert kept_ids(tables, version=0) == ["0"]
    assert tables.at(NAME, 0).ref.rows == 1


def test_a_file_that_is_gone_is_told_with_the_way_out(tables):
    tables.append(NAME, ROWS)
    kept = tables.append(NAME, ROWS).ref.version
    lost = unquote(DeltaTable(tables.uri(NAME)).file_uris()[0])
    Path(lost).unlink()
    for version in (None, kept):
        with pytest.raises(StoreError, match=rf"1 file\(s\) .* {Path(lost).name}.*a backup"):
            tables.dataset(NAME, version=version)


def test_expired_logs_are_never_cleaned_up(tables):
    configuration = DeltaTable(tables.append(NAME, ROWS).uri).metadata().configuration
    assert configuration["delta.enableExpiredLogCleanup"] == "false"
    assert configuration["delta.deletedFileRetentionDuration"] == "interval 36500 days"


def test_writers_at_once_lose_no_row_and_no_state(tables):
    start = threading.Barrier(4)

    def write(number):
        start.wait()
        tables.append(NAME, pa.table({"id": [str(number)]}), state={str(number): "done"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = tables.latest(NAME)
    assert kept_ids(tables) == ["0", "1", "2", "3"]
    assert said.state == {str(number): "done" for number in range(4)}
    assert said.ref.version == 3
    assert_true_to_its_rows(tables, said)


@pytest.mark.parametrize("write", ["overwrite", "append"])
def test_rows_that_come_in_many_chunks_keep_their_order(tables, write):
    many = pa.concat_tables(
        [pa.table({"id": range(start, start + 50)}) for start in range(0, 1_000, 50)]
    )
    for time in range(8):
        name = f"{NAME}{time}"
        getattr(tables, write)(name, many)
        assert tables.dataset(name).to_table()["id"].to_pylist() == list(range(1_000))


def test_merges_at_once_lose_no_row(tables):
    tables.append(NAME, ROWS)
    start = threading.Barrier(3)

    def merge(number):
        start.wait()
        rows = pa.table({"id": ["a", f"new {number}"], "paid": [float(number), 0.0]})
        tables.upsert(NAME, rows, key=["id"])

    threads = [threading.Thread(target=merge, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept_ids(tables) == ["a", "b", "c", "new 0", "new 1", "new 2"]
    assert_true_to_its_rows(tables, tables.latest(NAME))


def test_a_known_key_is_replaced_in_whatever_file_it_is(tables):
    for part in ("abc", "def", "gh"):
        tables.append(NAME, pa.table({"id": list(part), "paid": [1.0] * len(part)}))
    some = pa.table({"id": ["b", "g", "z"], "paid": [2.0, 2.0, 2.0]})
    said = tables.upsert(NAME, some, key=["id"])
    assert sorted(tables.read(NAME).filter(pc.field("paid") == 2.0)["id"].to_pylist()) == list(
        "bgz"
    )
    assert kept_ids(tables) == list("abcdefghz")
    assert_true_to_its_rows(tables, said)


def test_files_without_ranges_and_rewritten_files_hide_no_row(tables):
    uri = tables.append(NAME, pa.table({"id": ["a", "b"], "paid": [1.0, 1.0]})).uri
    DeltaTable(uri).alter.set_table_properties({"delta.dataSkippingNumIndexedCols": "0"})
    write_deltalake(uri, pa.table({"id": ["c", "d"], "paid": [1.0, 1.0]}), mode="append")
    ranges = pa.table(DeltaTable(uri).get_add_actions(flatten=True))
    assert "min.id" not in ranges.column_names or None in ranges["min.id"].to_pylist()
    for known in ("a", "d"):
        assert tables.find(NAME, "id", known).num_rows == 1
        tables.upsert(NAME, pa.table({"id": [known], "paid": [2.0]}), key=["id"])
    DeltaTable(uri).optimize.compact()
    DeltaTable(uri).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert kept_ids(tables) == ["a", "b", "c", "d"]
    for known, paid in (("a", 2.0), ("b", 1.0), ("c", 1.0), ("d", 2.0)):
        assert tables.find(NAME, "id", known)["paid"].to_pylist() == [paid]


def test_long_texts_are_found_although_ranges_are_cut(tables):
    long = ["x" * 300 + one for one in "abc"]
    tables.append(NAME, pa.table({"id": long[:1], "paid": [1.0]}))
    tables.append(NAME, pa.table({"id": long[1:], "paid": [2.0, 3.0]}))
    assert [tables.find(NAME, "id", one)["paid"][0].as_py() for one in long] == [1.0, 2.0, 3.0]
    tables.upsert(NAME, pa.table({"id": long, "paid": [4.0] * 3}), key=["id"])
    assert kept_ids(tables) == long


def test_only_files_that_may_hold_a_key_are_read(tables):
    for part in ("abc", "def", "gh"):
        uri = tables.append(NAME, pa.table({"id": list(part)})).uri
    table = DeltaTable(uri)
    [theirs] = [
        one["path"]
        for one in pa.table(table.get_add_actions()).to_pylist()
        if one["min"]["id"] == "a"
    ]
    Path(uri, theirs).unlink()
    tables.upsert(NAME, pa.table({"id": ["ga", "i"]}), key=["id"])
    assert tables.find(NAME, "id", "i").num_rows == 1


def test_after_optimize_by_somebody_else_digest_and_state_are_still_told(tables):
    tables.append(NAME, ROWS, state={"cursor": "1"})
    said = tables.append(NAME, ROWS)
    DeltaTable(said.uri).optimize.compact()
    seen = tables.latest(NAME)
    assert seen.ref.version == said.ref.version + 1
    assert (seen.ref.digest, seen.state) == (said.ref.digest, {"cursor": "1"})


def test_after_rows_by_somebody_else_the_digest_is_made_anew(tables):
    said = tables.append(NAME, ROWS, state={"cursor": "1"})
    write_deltalake(said.uri, ROWS, mode="append")
    seen = tables.latest(NAME)
    assert seen.ref.rows == 6
    assert seen.state == {"cursor": "1"}
    assert_true_to_its_rows(tables, seen)
    assert_true_to_its_rows(tables, tables.append(NAME, ROWS))


def test_a_digest_of_an_earlier_encoding_stays_until_the_table_is_written(tables, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(content, "FORMAT", "v1")
        earlier.setattr(content, "_ROW", (np.uint64(1), np.uint64(2)))
        old = tables.append(NAME, ROWS.slice(0, 1), state={"cursor": "1"})
    assert old.ref.digest.startswith("v1:")
    assert tables.latest(NAME).ref == old.ref
    said = tables.append(NAME, ROWS.slice(1))
    assert said.ref.digest == digest_of_table(ROWS)
    assert said.state == {"cursor": "1"}


def test_a_table_that_somebody_else_made_can_be_used(tables):
    write_deltalake(tables.uri(NAME), ROWS)
    assert tables.latest(NAME).state == {}
    assert_true_to_its_rows(tables, tables.append(NAME, ROWS))


def test_a_table_of_a_later_format_asks_for_an_upgrade(tables):
    later = CommitProperties(custom_metadata={"mlops_dagster.format": "3"})
    write_deltalake(tables.uri(NAME), ROWS, commit_properties=later)
    with pytest.raises(StoreError, match=r"format 3;.*Upgrade the package"):
        tables.latest(NAME)


def test_the_note_is_there_for_people_in_the_history(tables):
    said = tables.append(NAME, ROWS, state={"cursor": "1"})
    [commit] = DeltaTable(said.uri).history(1)
    assert commit["mlops_dagster.digest"] == said.ref.digest
    assert json.loads(commit["mlops_dagster.state"]) == {"cursor": "1"}


def test_an_unreachable_root_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="table store: no answer from"):
        DeltaTables(str(tmp_path / "file")).append(NAME, ROWS)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (pa.array([None, None]), pa.string()),
        (pa.array([1, 2], pa.uint32()), pa.int64()),
        (pa.array([1, 2], pa.uint64()), pa.int64()),
        (pa.array([200, 2], pa.uint8()), pa.int16()),
        (pa.array([1, 2], pa.timestamp("ns")), pa.timestamp("us")),
        (pa.array([1, 2], pa.timestamp("s", "Europe/Berlin")), pa.timestamp("us", "UTC")),
        (pa.array(["a", "b"], pa.string_view()), pa.string()),
        (pa.array(["a", "b"]).dictionary_encode(), pa.string()),
        (pa.array([1, 2], pa.time64("us")), pa.string()),
        (pa.array([[None], []], pa.large_list(pa.null())), pa.list_(pa.string())),
        (pa.array([b"ab", b"cd"], pa.binary(2)), pa.binary()),
        (pa.array([1, 2], pa.decimal128(10, 2)), pa.decimal128(10, 2)),
        (pa.array([{"a": 1}, None]), pa.struct([("a", pa.int64())])),
    ],
)
def test_every_type_is_kept_and_its_digest_is_true(tables, given, kept):
    said = tables.append(NAME, pa.table({"x": given}))
    assert tables.read(NAME)["x"].type == kept
    assert_true_to_its_rows(tables, said)
    assert_true_to_its_rows(tables, tables.append(NAME, pa.table({"x": given})))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pa.table({"x": pa.array([1], pa.duration("s"))}), "'x' is a length of time"),
        (pa.table({"x": pa.array([2**64 - 1], pa.uint64())}), "a value does not fit"),
        (pa.table([[1], [2]], names=["x", "x"]), r"\['x'\] come twice"),
        (pa.table({}), "there are no columns"),
    ],
)
def test_what_cannot_be_kept_is_refused(tables, rows, message):
    with pytest.raises(DataNotFitError, match=message):
        tables.append(NAME, rows)
    assert tables.latest(NAME) is None


def test_a_column_of_nulls_alone_fits_any_stored_type(tables):
    tables.append(NAME, ROWS)
    said = tables.append(NAME, pa.table({"id": ["d"], "paid": pa.nulls(1)}))
    assert said.schema.field("paid").type == pa.float64()


def test_the_unnamed_index_of_a_data_frame_is_dropped(tables):
    frame = ROWS.to_pandas().iloc[1:]
    tables.append(NAME, pa.Table.from_pandas(frame))
    assert tables.read(NAME).column_names == ROWS.column_names


def test_names_and_values_with_quotes_are_taken_as_they_are(tables):
    rows = pa.table({'the "key"': ["o'x", "b"], "v": [1, 2]})
    tables.append(NAME, rows)
    tables.upsert(NAME, rows.slice(0, 1).set_column(1, "v", [[5]]), key=['the "key"'])
    said = tables.replace(NAME, rows.slice(0, 1), where={'the "key"': "o'x"})
    assert tables.read(NAME).sort_by("v")["v"].to_pylist() == [1, 2]
    assert_true_to_its_rows(tables, said)


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["append", "upsert", "replace", "overwrite"]),
        st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3), max_size=3),
    ),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(writes=WRITES, number=st.uuids())
def test_the_incremental_digest_is_the_digest_of_the_rows(tables, writes, number):
    name = f"m/all/{number}"
    schema = pa.schema([("k", pa.string()), ("v", pa.int64())])
    for kind, values in writes:
        rows = [{"k": key, "v": value} for key, value in values.items()]
        table = pa.Table.from_pylist(rows, schema=schema)
        match kind:
            case "upsert":
                said = tables.upsert(name, table, key=["k"])
            case "replace":
                said = tables.replace(
                    name, table.slice(0, 1), where={"k": rows[0]["k"] if rows else "a"}
                )
            case "append":
                said = tables.append(name, table)
            case _:
                said = tables.overwrite(name, table)
        assert said.ref.digest == digest_of_table(tables.read(name))


def test_rows_of_before_a_column_was_added_are_found_as_null(tables):
    tables.append(NAME, ROWS)
    tables.append(NAME, pa.table({"id": ["d"], "note": ["new"]}))
    note = pads.field("note")
    assert tables.dataset(NAME).count_rows(filter=note.is_null()) == 3
    assert tables.dataset(NAME).count_rows(filter=~note.is_null()) == 1


def test_a_stream_gives_the_chosen_rows_of_every_file_whatever_columns_it_has(tables):
    tables.append(NAME, ROWS)
    tables.append(NAME, pa.table({"id": ["d", "e"], "note": ["new", None]}))
    stored = tables.dataset(NAME)
    unknown = stream(stored, columns=("id",), where=pads.field("note").is_null(), rows=2)
    assert sorted(batch["id"].to_pylist() for batch in unknown) == [["a", "b"], ["c"], ["e"]]
    assert [one.to_pylist() for one in stream(stored, where=pads.field("id") > "x")] == []


def test_after_an_upsert_strings_can_still_be_filtered_by(tables):
    tables.append(NAME, ROWS)
    tables.upsert(NAME, ROWS.slice(0, 2), key=["id"])
    assert tables.dataset(NAME).count_rows(filter=pads.field("id") == "a") == 1


def test_an_upsert_leaves_the_files_of_other_days_alone(tables):
    days = [dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in (1, 2, 3)]
    for day in days:
        ids = [f"{day.day}-{n}" for n in range(300)]
        tables.append(NAME, pa.table({"id": ids, "at": [day] * 300}))
    files = set(DeltaTable(tables.uri(NAME)).file_uris())
    late = pa.table({"id": [f"3-{n}" for n in range(250, 550)], "at": [days[2]] * 300})
    said = tables.upsert(NAME, late, key=["id"])
    assert len(files & set(DeltaTable(said.uri).file_uris())) == 2
    assert said.ref.rows == 1150
    assert_true_to_its_rows(tables, said)


@pytest.mark.parametrize(
    "key",
    [
        pa.array(range(400), pa.int32()),
        pa.array([None, *range(399)], pa.int64()),
        pa.array([f"it's {n}" for n in range(400)]),
        pa.array(range(400), pa.date32()),
        pa.array(range(400), pa.timestamp("us")),
        pa.array(range(-400, 0), pa.timestamp("us", "UTC")),
        pa.array([n / 7 for n in range(400)], pa.float64()),
        pa.array([str(n).encode() for n in range(400)], pa.binary()),
        pa.array(range(400), pa.decimal128(10, 2)),
    ],
    ids=lambda key: str(key.type),
)
@pytest.mark.parametrize("size", [3, 300])
def test_keys_of_every_type_are_matched(tables, key, size):
    tables.append(NAME, pa.table({"k": key, "v": [0] * 400}))
    tables.upsert(NAME, pa.table({"k": key.slice(0, size), "v": [1] * size}), key=["k"])
    said = tables.upsert(NAME, pa.table({"k": key.slice(0, size), "v": [2] * size}), key=["k"])
    assert sorted(tables.read(NAME)["v"].to_pylist()) == [0] * (400 - size) + [2] * size
    assert_true_to_its_rows(tables, said)


def test_a_key_of_two_columns_is_matched_as_a_pair(tables):
    rows = pa.table({"a": [1, 1, 2, 2], "b": ["x", "y", "x", "y"], "v": [0] * 4})
    tables.append(NAME, rows)
    said = tables.upsert(
        NAME, pa.table({"a": [1, 2, 3], "b": ["x", "y", "x"], "v": [5, 6, 7]}), key=["a", "b"]
    )
    kept = tables.read(NAME).sort_by([("a", "ascending"), ("b", "ascending")])
    assert kept["v"].to_pylist() == [5, 0, 0, 6, 7]
    assert_true_to_its_rows(tables, said)
