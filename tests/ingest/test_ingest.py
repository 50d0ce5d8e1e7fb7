import json
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_dagster.errors import DataNotFitError, SpecError, StoreError
from mlops_dagster.ingest.arrivals import source_state
from mlops_dagster.ingest.assets import build_stage
from mlops_dagster.ingest.run import run
from mlops_dagster.ingest.spec import IngestSpec
from mlops_dagster.stores import content
from mlops_dagster.stores.tables import BATCH

sys.path.insert(0, str(Path(__file__).parent))
import given  # the module that the sources below are declared in

FUNCTION = {"kind": "function", "path": "given:rows"}
SINCE = {"kind": "function", "path": "given:rows_since"}


def frame(*ids: int, late: object = 0, day: int = 1) -> pd.DataFrame:
    at = [datetime(2013, 1, day, tzinfo=UTC) + timedelta(hours=one) for one in ids]
    return pd.DataFrame({"id": list(ids), "at": at, "origin": "JFK", "late": late})


def texts(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(at=rows["at"].dt.strftime("%Y-%m-%d %H:%M:%S"))


def ingest(step, source=FUNCTION, *, source_rows=None, **spec):
    return run(step, IngestSpec(source=source, **spec), source_rows=source_rows)


def stored(step, noun="raw_data") -> pd.DataFrame:
    rows = step.bench.tables.read(step.table(noun)).to_pandas()
    return rows.sort_values([BATCH, *[one for one in ("id",) if one in rows]]).reset_index(
        drop=True
    )


def write_sqlite(path: Path, rows: pd.DataFrame) -> None:
    with sqlite3.connect(path) as connection:
        texts(rows).to_sql("orders", connection, index=False, if_exists="append")
    connection.close()


def write_source(kind: str, folder: Path) -> dict[str, object]:
    rows = texts(frame(1, 2, 3))
    if kind == "csv":
        rows.to_csv(folder / "a.csv", index=False)
        return {"kind": "file", "path": str(folder / "a.csv")}
    if kind == "parquet":
        frame(1, 2, 3).to_parquet(folder / "a.parquet")
        return {"kind": "file", "path": str(folder / "a.parquet")}
    if kind == "jsonl":
        rows.to_json(folder / "a.jsonl", orient="records", lines=True)
        return {"kind": "file", "path": str(folder / "a.jsonl")}
    if kind == "glob":
        rows[:2].to_csv(folder / "a.csv", index=False)
        rows[2:].to_csv(folder / "b.csv.gz", index=False)
        return {"kind": "file", "path": str(folder / "*.csv*")}
    if kind == "folder":
        rows[:2].to_csv(folder / "a.csv", index=False)
        rows[2:].to_csv(folder / "b.csv", index=False)
        (folder / "notes.md").write_text("no rows")
        return {"kind": "file", "path": str(folder)}
    if kind == "address":
        rows.to_csv(folder / "a.csv", index=False)
        return {"kind": "file", "path": f"file://{folder}/a.csv"}
    if kind == "sqlite":
        write_sqlite(folder / "orders.db", frame(1, 2, 3))
        return {"kind": "sql", "url": f"sqlite:///{folder}/orders.db", "table": "orders"}
    given.GIVEN["rows"] = frame(1, 2, 3)
    return FUNCTION


SOURCES = ["csv", "parquet", "jsonl", "glob", "folder", "address", "sqlite", "function"]


@pytest.mark.parametrize("cursor", ["at", None])
@pytest.mark.parametrize("kind", SOURCES)
def test_CO1_the_same_file_twice_adds_no_row(kind, cursor, open_step, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    source = write_source(kind, folder)
    step = open_step()
    first = ingest(step, source, cursor=cursor)
    second = ingest(step, source, cursor=cursor)
    assert (first.new_rows, first.table.rows, first.through) == (3, 3, 1)
    assert second.new_rows == 0
    assert second.table == first.table
    assert second.data_version == first.data_version
    assert second.because.startswith("Nothing new")
    assert first.newest == datetime(2013, 1, 1, 3, tzinfo=UTC)
    assert list(stored(step)[BATCH]) == [1, 1, 1]


def test_a_late_row_and_a_corrected_row_are_taken_over(open_step):
    step = open_step()
    given.GIVEN["rows"] = frame(1, 3)
    ingest(step)
    given.GIVEN["rows"] = pd.concat([frame(1, late=1), frame(2, 3)])
    record = ingest(step)
    assert record.because == "1 new rows, 1 corrected; newest 2013-01-01 03:00 UTC."
    rows = stored(step)
    assert dict(zip(rows["id"], rows["late"], strict=True)) == {1: 1, 2: 0, 3: 0}
    assert dict(zip(rows["id"], rows[BATCH], strict=True)) == {3: 1, 1: 2, 2: 2}


def test_a_key_that_comes_twice_is_taken_as_it_was_last_and_is_said(open_step):
    step = open_step()
    twice = pd.concat([frame(1, late=1, day=2), frame(1, late=0), frame(2), frame(2)])
    given.GIVEN["rows"] = twice
    record = ingest(step)
    assert stored(step)["late"].tolist() == [1, 0]
    assert "1 keys came twice with different values" in record.because


def test_a_function_is_asked_from_the_cursor_minus_the_lookback(open_step):
    step = open_step()
    given.GIVEN["rows"] = frame(1, 2)
    ingest(step, SINCE, cursor="at", lookback="30m")
    assert given.GIVEN["since"] is None
    ingest(step, SINCE, cursor="at", lookback="30m")
    assert given.GIVEN["since"] == datetime(2013, 1, 1, 1, 30, tzinfo=UTC)


def test_a_database_is_read_from_the_cursor_minus_the_lookback(open_step, tmp_path):
    step = open_step()
    path = tmp_path / "orders.db"
    source = {"kind": "sql", "url": f"sqlite:///{path}", "query": "select * from orders;"}
    write_sqlite(path, pd.concat([frame(1), frame(2, 3, day=5)]))
    ingest(step, source, cursor="at", lookback="1h")
    with sqlite3.connect(path) as connection:
        connection.execute("update orders set late = 1 where id in (1, 2)")
    connection.close()
    write_sqlite(path, frame(4, day=5))
    record = ingest(step, source, cursor="at", lookback="1h")
    rows = stored(step)
    assert dict(zip(rows["id"], rows["late"], strict=True)) == {1: 0, 2: 1, 3: 0, 4: 0}
    assert (record.new_rows, record.shown["corrected_rows"].value) == (1, 1)


def test_without_a_key_rows_past_the_cursor_are_added(open_step):
    step = open_step(key=())
    given.GIVEN["rows"] = frame(1, 2)
    ingest(step, cursor="at")
    given.GIVEN["rows"] = frame(1, 2, 3)
    record = ingest(step, cursor="at")
    assert (record.new_rows, record.table.rows, record.through) == (1, 3, 2)


def test_without_key_and_cursor_the_table_is_a_snapshot(open_step):
    step = open_step(key=())
    given.GIVEN["rows"] = frame(1, 2)
    first = ingest(step)
    given.GIVEN["rows"] = frame(2, 1)
    same = ingest(step)
    given.GIVEN["rows"] = frame(5)
    other = ingest(step)
    assert (same.table, same.data_version) == (first.table, first.data_version)
    assert (other.table.rows, other.through) == (1, 2)
    assert other.because.startswith("The snapshot was replaced: 1 rows")
    assert step.bench.tables.latest(step.table("raw_data")).state["mode"] == "snapshot"


def test_a_snapshot_that_an_earlier_encoding_digested_is_not_new(open_step, monkeypatch):
    step = open_step(key=())
    given.GIVEN["rows"] = frame(1, 2)
    with monkeypatch.context() as earlier:
        earlier.setattr(content, "FORMAT", "v1")
        earlier.setattr(content, "_ROW", (np.uint64(1), np.uint64(2)))
        first = ingest(step)
    given.GIVEN["rows"] = frame(2, 1)
    same = ingest(step)
    assert (same.new_rows, same.through) == (0, first.through)


def test_an_asset_value_is_a_source(open_step):
    source = {"kind": "asset", "key": ["shop", "orders"]}
    record = ingest(open_step(), source, source_rows=pa.Table.from_pandas(frame(1, 2)))
    assert record.new_rows == 2
    stage = build_stage(open_step().model, IngestSpec(source=source))
    assert stage.assets == {"source_rows": ("shop", "orders")}


def test_an_iterator_of_tables_is_read_to_its_end(open_step):
    given.GIVEN["rows"] = iter([frame(1), pa.Table.from_pandas(frame(2)), frame(3)])
    assert ingest(open_step()).new_rows == 3


def test_lookups_are_kept_versioned_and_digested_alike(open_step):
    step = open_step()
    given.GIVEN["rows"] = frame(1)
    weather = pd.DataFrame(
        {"origin": ["JFK", "LGA"], "hour": frame(1, 2)["at"], "wind": [1.0, 2.0]}
    )
    given.GIVEN["weather"] = weather
    lookups = {
        "weather": {
            "kind": "function", "path": "given:weather", "key": ["origin"], "event_time": "hour"
        }
    }  # fmt: skip
    first = ingest(step, lookups=lookups)
    again = ingest(step, lookups=lookups)
    given.GIVEN["weather"] = weather.assign(wind=[1.0, 9.0])
    changed = ingest(step, lookups=lookups)
    assert first.lookups["weather"].rows == 2
    assert again.data_version == first.data_version
    assert changed.table == first.table
    assert changed.lookups["weather"].digest != first.lookups["weather"].digest
    assert changed.data_version != first.data_version
    assert stored(step, "lookup_weather")["wind"].tolist() == [1.0, 9.0]


def test_a_lookup_that_loses_a_column_says_the_way_out(open_step):
    step = open_step()
    given.GIVEN["rows"] = frame(1)
    given.GIVEN["weather"] = pd.DataFrame({"origin": ["JFK"], "wind": [1.0]})
    lookups = {"weather": {"kind": "function", "path": "given:weather", "key": ["origin"]}}
    ingest(step, lookups=lookups)
    given.GIVEN["weather"] = pd.DataFrame({"origin": ["JFK"]})
    with pytest.raises(
        DataNotFitError, match=r"'wind' is missing.* under another name of a lookup"
    ):
        ingest(step, lookups=lookups)


def test_a_person_sees_rows_span_columns_place_version_digest_and_a_sample(open_step, tmp_path):
    texts(frame(1, 2)).assign(origin="a|b").to_csv(tmp_path / "a.csv", index=False)
    record = ingest(open_step(), {"kind": "file", "path": str(tmp_path / "a.csv")})
    shown = {name: one.value for name, one in record.shown.items()}
    assert shown["dagster/row_count"] == 2
    assert shown["dagster/column_schema"]["at"] == "timestamp[us, tz=UTC]"
    assert BATCH not in shown["dagster/column_schema"]
    assert shown["time_span"] == "2013-01-01 01:00 UTC to 2013-01-01 02:00 UTC"
    assert shown["digest"] == record.table.digest
    assert shown["dagster/uri"].endswith("shop/all/raw_data")
    assert r"a\|b" in shown["sample"]
    assert shown["time_zone"] == "at: without a time zone at the source, read as UTC."


def test_a_target_of_nulls_alone_is_no_change_of_type(open_step, tmp_path):
    step = open_step()
    source = {"kind": "file", "path": str(tmp_path / "a.csv")}
    texts(frame(1, late=None)).to_csv(tmp_path / "a.csv", index=False)
    ingest(step, source)
    texts(frame(1, 2, late=1)).to_csv(tmp_path / "a.csv", index=False)
    ingest(step, source)
    texts(frame(3, late=None)).to_csv(tmp_path / "a.csv", index=False)
    ingest(step, source)
    assert stored(step)["late"].tolist()[:2] == [1, 1]
    assert stored(step)["late"].isna().tolist() == [False, False, True]


def test_what_is_not_a_number_is_unknown(open_step, tmp_path):
    step = open_step()
    rows = pa.Table.from_pandas(frame(1, 2, 3, late=1.0), preserve_index=False)
    late = pa.array([1.0, float("nan"), None])
    pq.write_table(rows.set_column(3, "late", late), tmp_path / "a.parquet")
    ingest(step, {"kind": "file", "path": str(tmp_path / "a.parquet")})
    kept = step.bench.tables.read(step.table("raw_data")).sort_by("id")
    assert kept["late"].to_pylist() == [1.0, None, None]


def test_a_new_column_of_the_source_is_added(open_step):
    step = open_step()
    given.GIVEN["rows"] = frame(1)
    ingest(step)
    given.GIVEN["rows"] = frame(1, 2).assign(carrier=[None, "UA"])
    record = ingest(step)
    assert (record.new_rows, record.shown["corrected_rows"].value) == (1, 0)
    assert set(stored(step)["carrier"].dropna()) == {"UA"}


BAD_ROWS = {
    "null key": (
        frame(4, 5).assign(id=[4, None]),
        "1 of 2 rows have no value in the key column 'id'",
    ),
    "target away": (frame(4).drop(columns="late"), "'late' is missing"),
    "key renamed": (frame(4).rename(columns={"id": "idd"}), "'id' is missing. Did you mean 'idd'"),
    "event time away": (frame(4).drop(columns="at"), "'at' is missing"),
    "column gone": (frame(4).drop(columns="origin"), "'origin' is missing"),
    "type changed": (
        frame(4).assign(late="yes"),
        "column 'late': 1 of 1 rows hold no number, and it was int64; first: 'yes' in row 1",
    ),
    "fraction in int": (frame(4).assign(late=0.5), "column 'late' is double now and was int64"),
    "no time": (frame(4).assign(at="soon"), "1 of 1 rows hold no ISO 8601 time; first: 'soon'"),
    "number as time": (frame(4).assign(at=4), "'at' must hold times and is int64"),
    "reserved": (frame(4).assign(_batch=1), "start with an underscore"),
    "mixed": (frame(4, 5).assign(origin=["a", 1]), "mixed kinds"),
    "no table": ({"id": 4}, "gave dict. Give a pandas.DataFrame"),
    "length of time": (frame(4).assign(origin=timedelta(1)), "is a length of time"),
}


@pytest.mark.parametrize(("rows", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_rows_that_do_not_fit_are_refused_and_the_table_stays(rows, message, open_step):
    step = open_step()
    given.GIVEN["rows"] = frame(1, 2)
    before = ingest(step)
    given.GIVEN["rows"] = rows
    with pytest.raises(DataNotFitError, match="shop/all/raw_data") as refused:
        ingest(step)
    assert message in str(refused.value)
    assert step.bench.tables.latest(before.table.name).ref == before.table


def write_bad(folder: Path) -> None:
    (folder / "empty.csv").write_text("id,at,late\n")
    (folder / "nothing.csv").write_text("")
    (folder / "torn.csv").write_text('id,at,late\n1,"2013')
    (folder / "torn.parquet").write_bytes(b"no parquet")
    (folder / "table.xls").write_text("x")
    write_sqlite(folder / "orders.db", frame(1))


BAD_SOURCES = {
    "no file": ("file", {"path": "gone.csv"}, DataNotFitError, "no file at '.*gone.csv'"),
    "no match": ("file", {"path": "*.jsonl"}, DataNotFitError, "no file at '.*jsonl'"),
    "empty": ("file", {"path": "empty.csv"}, DataNotFitError, "the source is empty"),
    "nothing": ("file", {"path": "nothing.csv"}, DataNotFitError, "the source is empty"),
    "torn": ("file", {"path": "torn.parquet"}, DataNotFitError, "cannot be read as parquet"),
    "suffix": ("file", {"path": "table.xls"}, SpecError, "the suffix of .*'.xls' is not known"),
    "protocol": ("file", {"path": "sx3://b/a.csv"}, StoreError, "no answer from .*sx3"),
    "no database": ("sql", {"url": "sqlite:///{}/no.db"}, StoreError, "no SQLite file at .*no.db"),
    "no table": ("sql", {"table": "ordes"}, DataNotFitError, "no such table: ordes"),
    "no column": ("sql", {"columns": ["idd"]}, DataNotFitError, "no such column: idd"),
    "no host": (
        "sql",
        {"url": "postgresql+psycopg://me:s3cret@127.0.0.1:1/x"},
        StoreError,
        r"no answer from postgresql\+psycopg://127.0.0.1:1/x",
    ),
    "no dialect": ("sql", {"url": "nosuch://me:s3cret@h/x"}, SpecError, "nosuch"),
    "no address": ("sql", {"url": "s3cret"}, SpecError, "holds no SQLAlchemy address"),
    "no variable": ("sql", {"url_variable": "NO_SUCH"}, SpecError, "NO_SUCH is not set"),
    "no module": ("function", {"path": "no_such.mod:f"}, SpecError, "no_such.mod:f cannot be imp"),
    "no function": ("function", {"path": "given:nope"}, SpecError, "given:nope cannot be imported"),
    "no callable": ("function", {"path": "given:NOT_A_FUNCTION"}, SpecError, "is int, not a func"),
    "no value": ("asset", {"key": ["a", "b"]}, DataNotFitError, "the asset a/b gave no value"),
}


@pytest.mark.parametrize(
    ("kind", "given_source", "error", "message"), BAD_SOURCES.values(), ids=BAD_SOURCES
)
def test_a_source_that_is_not_there_says_where_it_was_looked_for(
    kind, given_source, error, message, open_step, tmp_path
):
    write_bad(tmp_path)
    source = {"kind": kind, **given_source}
    if kind == "file" and "://" not in source["path"]:
        source["path"] = str(tmp_path / source["path"])
    if kind == "sql":
        if "url_variable" not in source:
            source["url"] = source.get("url", "sqlite:///{}/orders.db").format(tmp_path)
        source = {"table": "orders"} | source
    step = open_step()
    with pytest.raises(error, match=message) as refused:
        ingest(step, source)
    assert "shop/all/raw_data" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert step.bench.tables.latest(step.table("raw_data")) is None


def test_a_secret_never_shows_in_a_declaration(open_step):
    spec = IngestSpec(source={"kind": "sql", "url": "postgresql://me:s3cret@h/x", "table": "t"})
    assert "s3cret" not in repr(spec) + spec.model_dump_json()
    assert "s3cret" not in json.dumps(build_stage(open_step().model, spec).settings)


def test_an_address_comes_from_the_named_variable(open_step, tmp_path, monkeypatch):
    write_sqlite(tmp_path / "orders.db", frame(1))
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/orders.db")
    source = {"kind": "sql", "url_variable": "SHOP_URL", "table": "orders"}
    assert ingest(open_step(), source).new_rows == 1


def test_nothing_is_written_when_a_later_source_fails(open_step):
    step = open_step()
    given.GIVEN["rows"] = frame(1)
    lookups = {"weather": {"kind": "function", "path": "given:broken", "key": ["origin"]}}
    with pytest.raises(RuntimeError, match="own fault"):
        ingest(step, lookups=lookups)
    assert step.bench.tables.latest(step.table("raw_data")) is None
    assert ingest(step).new_rows == 1


def test_a_step_that_is_killed_while_it_reads_gives_each_row_once_when_repeated(open_step):
    step = open_step()
    given.GIVEN["rows"] = frame(1)
    ingest(step, cursor="at")

    def torn():
        yield frame(2)
        raise KeyboardInterrupt

    given.GIVEN["rows"] = torn()
    with pytest.raises(KeyboardInterrupt):
        ingest(step, cursor="at")
    given.GIVEN["rows"] = frame(1, 2, 3)
    assert ingest(step, cursor="at").new_rows == 2
    assert stored(step)["id"].tolist() == [1, 2, 3]


def test_a_lookback_needs_a_cursor_and_a_key(open_step):
    with pytest.raises(ValueError, match="declare cursor"):
        IngestSpec(source=FUNCTION, lookback="1d")
    spec = IngestSpec(source=FUNCTION, cursor="at", lookback="1d")
    with pytest.raises(SpecError, match="Declare key, or leave lookback out"):
        build_stage(open_step(key=()).model, spec)


def test_a_source_tells_by_its_state_whether_there_is_something_new(open_step, tmp_path):
    model = open_step().model
    files = IngestSpec(source={"kind": "file", "path": str(tmp_path / "*.csv")})
    frame(1).to_csv(tmp_path / "a.csv")
    first = source_state(model, files)
    assert source_state(model, files) == first
    frame(2).to_csv(tmp_path / "b.csv")
    assert source_state(model, files) != first

    url = f"sqlite:///{tmp_path}/orders.db"
    table = IngestSpec(source={"kind": "sql", "url": url, "table": "orders"}, cursor="at")
    write_sqlite(tmp_path / "orders.db", frame(1))
    first = source_state(model, table)
    assert run(open_step(), table).source_state == first
    write_sqlite(tmp_path / "orders.db", frame(2))
    assert source_state(model, table) != first

    given.GIVEN["state"] = "one"
    told = IngestSpec(source={**FUNCTION, "state": "given:state"})
    first = source_state(model, told)
    given.GIVEN["state"] = "two"
    assert source_state(model, told) != first
    assert source_state(model, IngestSpec(source=FUNCTION)) is None


@pytest.mark.postgres
def test_a_postgres_table_is_read_incrementally_in_batches(open_step):
    import sqlalchemy as sa

    url = "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    engine = sa.create_engine(url)
    table = f"orders_{id(engine)}"
    source = {"kind": "sql", "url": url, "table": table, "batch_rows": 2}
    step = open_step()
    try:
        frame(1, 2, 3, 4, 5).to_sql(table, engine, index=False)
        first = ingest(step, source, cursor="at")
        assert (first.new_rows, ingest(step, source, cursor="at").new_rows) == (5, 0)
        frame(6, 7).assign(late=None).astype({"late": "Int64"}).to_sql(
            table, engine, index=False, if_exists="append"
        )
        assert ingest(step, source, cursor="at").new_rows == 2
        assert stored(step)["id"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text(f"drop table if exists {table}"))
        engine.dispose()
