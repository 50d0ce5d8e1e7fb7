"""A source that is not what it was: cut off, emptied, with more or fewer columns, or written otherwise."""

from pathlib import Path

import pandas as pd
import pytest

from mlops_dagster.errors import DataNotFitError, SpecError
from mlops_dagster.ingest.assets import build_stage
from mlops_dagster.ingest.run import run
from mlops_dagster.ingest.spec import IngestSpec


@pytest.fixture
def read(open_step, tmp_path):
    """Write a CSV file and take it in."""

    def taken(rows: pd.DataFrame | str, *, key=("id",), options=None, **spec):
        file = tmp_path / "orders.csv"
        text = rows if isinstance(rows, str) else rows.to_csv(index=False)
        file.write_bytes(text.encode("latin-1"))
        source = {"kind": "file", "path": str(file), "options": options or {}}
        return run(open_step(key=key, event_time=None), IngestSpec(source=source, **spec))

    return taken


def rows(number: int, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"id": range(number), "late": 0, "size": 1} | columns)


@pytest.mark.parametrize("key", [("id",), ()], ids=["keyed", "snapshot"])
def test_an_emptied_source_is_refused_and_the_rows_stay(key, read, open_step):
    before = read(rows(10), key=key)
    with pytest.raises(DataNotFitError, match="empty now, and gave 10 rows before"):
        read(rows(10)[:0], key=key)
    assert open_step().bench.tables.latest(before.table.name).ref == before.table


@pytest.mark.parametrize("key", [("id",), ()], ids=["keyed", "snapshot"])
def test_a_source_with_less_than_half_of_its_rows_is_told(key, read):
    assert read(rows(10), key=key).checks[0].outcome == "passed"
    assert read(rows(5), key=key).checks[0].outcome == "passed"
    read(rows(12), key=key)
    record = read(rows(4), key=key)
    [check] = record.checks
    assert (record.outcome, check.outcome, check.severity) == ("passed", "refused", "warning")
    assert check.because.startswith("The source gave 4 rows, and 12 when the table changed last")
    shown = {name: one.value for name, one in check.shown.items()}
    assert shown == {"rows_read": 4, "rows_read_before": 12}


def test_a_new_column_is_taken_and_told_once(read):
    read(rows(2))
    [check] = read(rows(2, carrier="UA")).checks
    assert (check.outcome, check.severity) == ("refused", "warning")
    assert check.because.startswith(
        "New column 'carrier' at the source: the first training on rows that have it takes it"
    )
    assert read(rows(3, carrier="UA")).checks[0].outcome == "passed"


@pytest.mark.parametrize("key", [("id",), ()], ids=["keyed", "snapshot"])
def test_a_column_that_is_gone_names_the_way_out_and_it_works(key, read, open_step):
    read(rows(2, carrier="UA"), key=key)
    with pytest.raises(DataNotFitError, match=r"'carrier' is missing.* name it in ingest.without"):
        read(rows(3), key=key)
    record = read(rows(3), key=key, without=["carrier"])
    stored = open_step().bench.tables.read(record.table.name)
    assert stored.num_rows == 3
    assert read(rows(3, carrier="UA"), key=key, without=["carrier"]).table == record.table


GONE = {
    "late": "'late' is missing. It is the target: give the column, empty for rows whose outcome is not",
    "id": "'id' is missing. It is declared, and the source had it before. Give it again.",
    "size": "'size' is missing. The source had it before. Give it again; if it is gone for good",
}


@pytest.mark.parametrize("column", GONE)
def test_a_column_that_vanished_is_not_taken_for_another_that_was_there_before(column, read):
    read(rows(2, sizes=1, lates=1, ids=1))
    with pytest.raises(DataNotFitError) as refused:
        read(rows(3, sizes=1, lates=1, ids=1).drop(columns=column))
    assert f"raw_data: {GONE[column]}" in str(refused.value)
    with pytest.raises(DataNotFitError, match=f"'{column}' is missing. Did you mean '{column}x'?"):
        read(rows(3, sizes=1, lates=1, ids=1).rename(columns={column: f"{column}x"}))


def test_rows_to_be_scored_have_the_target_empty(read):
    read(rows(2))
    assert read(rows(3, late=[0, 0, None])).new_rows == 1


def test_a_target_that_the_source_never_had_names_the_nearest_column(read):
    with pytest.raises(DataNotFitError, match=r"'late' is missing. Did you mean 'later'\? Known"):
        read(rows(2).rename(columns={"late": "later"}))


def test_a_renamed_column_leaves_its_history_in_every_row(read, open_step):
    amounts = [1.5, None, 3.5]
    read(rows(3, amount=amounts))
    renamed = rows(4, amount_eur=[1.5, 2.5, 3.5, 4.5], size=[1, 1, 2, 1])
    record = read(renamed, without=["amount"])
    assert (record.new_rows, record.shown["corrected_rows"].value) == (1, 3)
    kept = open_step().bench.tables.read(record.table.name).sort_by("id")
    assert kept["amount"].to_pylist() == [*amounts, None]
    assert kept["amount_eur"].to_pylist() == [1.5, 2.5, 3.5, 4.5]
    assert kept["size"].to_pylist() == [1, 1, 2, 1]
    assert read(renamed, without=["amount"]).table == record.table


def test_a_column_that_is_left_at_the_source_keeps_its_values_in_corrected_rows(read, open_step):
    read(rows(2, zip=["a", "b"]))
    record = read(rows(2, zip=["x", "y"], size=[1, 5]), without=["zip"])
    assert (record.new_rows, record.shown["corrected_rows"].value) == (0, 1)
    kept = open_step().bench.tables.read(record.table.name).sort_by("id")
    assert (kept["zip"].to_pylist(), kept["size"].to_pylist()) == (["a", "b"], [1, 5])


def test_a_column_of_the_declaration_cannot_be_left_out(open_step):
    spec = IngestSpec(source={"kind": "file", "path": "a.csv"}, without=["id", "late", "x"])
    with pytest.raises(
        SpecError, match=r"shop.ingest.without: \['id', 'late'\] cannot be left out"
    ):
        build_stage(open_step().model, spec)


@pytest.mark.parametrize("spec", [{}, {"cursor": "day"}, {"key": ()}], ids=str)
def test_whole_numbers_get_decimals_and_all_rows_stay(spec, read, open_step):
    spec = {"key": () if "cursor" in spec else ("id",), **spec}
    before = read(rows(3, day=1), **spec)
    record = read(rows(4, day=1, size=[1, 1, 1, 1.5]), **spec)
    kept = open_step().bench.tables.read(record.table.name).sort_by("id")
    assert (record.new_rows, kept["size"].to_pylist()) == (
        1 if spec["key"] or "cursor" in spec else 4,
        [1.0, 1.0, 1.0, 1.5],
    )
    assert before.table.digest != record.table.digest
    assert read(rows(4, day=1, size=[1, 1, 1, 1.5]), **spec).table == record.table


@pytest.mark.parametrize("column", ["id", "late", "day"])
def test_a_key_a_cursor_and_a_class_stay_whole_numbers(column, read):
    read(rows(2, day=1), cursor="day")
    changed = rows(2, day=1).astype({column: float})
    changed.loc[1, column] += 0.5
    with pytest.raises(DataNotFitError, match=f"column '{column}' is double now and was int64"):
        read(changed, cursor="day")


@pytest.mark.parametrize("was", [1, 1.5])
def test_a_text_among_numbers_is_named_with_its_row(was, read):
    read(rows(4, size=was))
    with pytest.raises(DataNotFitError) as refused:
        read(rows(4, size=[was, "", "1,5", "2,5"]))
    assert "column 'size': 2 of 4 rows hold no number" in str(refused.value)
    assert "first: '1,5' in row 3. Nothing was changed. Mend the source" in str(refused.value)


OTHERS = {
    ";": "id;late;size\n1;0;1,5\n2;0;2,5\n",
    "\t": "id\tlate\tsize\n1\t0\t1\n",
    "|": "id|late|size\n1|0|1\n",
}


@pytest.mark.parametrize("delimiter", OTHERS)
def test_a_file_with_another_delimiter_is_named_and_read_when_declared(delimiter, read):
    with pytest.raises(DataNotFitError) as refused:
        read(OTHERS[delimiter])
    assert f"the file looks separated by {delimiter!r}" in str(refused.value)
    assert f"Declare ingest.source.options.delimiter: {delimiter!r}" in str(refused.value)
    decimal = "," if delimiter == ";" else "."
    record = read(OTHERS[delimiter], options={"delimiter": delimiter, "decimal": decimal})
    assert record.shown["dagster/column_schema"].value["size"] in {"double", "int64"}


def test_a_file_of_one_column_is_read(open_step, tmp_path):
    (tmp_path / "a.csv").write_text("late\n0\n1\n")
    source = {"kind": "file", "path": str(tmp_path / "a.csv")}
    record = run(open_step(key=(), event_time=None), IngestSpec(source=source))
    assert record.new_rows == 2


def test_text_in_another_encoding_is_named_and_read_when_declared(read):
    with pytest.raises(DataNotFitError, match=r"columns \['size'\] hold no text of .*'utf8'"):
        read("id,late,size\n1,0,M\xfcller\n")
    read("id,late,size\n1,0,M\xfcller\n", options={"encoding": "latin-1"})


def test_a_packed_file_that_was_cut_off_is_refused(open_step, tmp_path):
    file = tmp_path / "a.csv.gz"
    rows(10_000).to_csv(file, index=False)
    file.write_bytes(file.read_bytes()[:-40])
    source = {"kind": "file", "path": str(file)}
    with pytest.raises(DataNotFitError, match=r"a.csv.gz cannot be read as csv"):
        run(open_step(event_time=None), IngestSpec(source=source))


DAY = "2013-01-01T12:00:00"
ZONES = {
    "some get one": (
        [DAY],
        [DAY, DAY + "+02:00"],
        "has a time zone in some rows and none in others",
    ),
    "all get one": ([DAY], [DAY + "+02:00"], "has a time zone now and had none before"),
    "all lose it": (
        [DAY + "+02:00"],
        [DAY],
        "has no time zone now, and is read as UTC; it had one",
    ),
    "none had one": ([DAY], [DAY, DAY], ""),
    "days alone": (["2013-01-01", DAY], ["2013-01-02", DAY], ""),
    "all had one": ([DAY + "Z"], [DAY + "+02:00"], ""),
    "the same instants": ([DAY], [DAY + "Z"], ""),
}


@pytest.mark.parametrize(("before", "after", "said"), ZONES.values(), ids=ZONES)
def test_times_that_get_or_lose_a_time_zone_are_told(before, after, said, open_step, tmp_path):
    file, step = tmp_path / "a.csv", open_step()
    spec = IngestSpec(source={"kind": "file", "path": str(file)})
    rows(len(before), at=before).to_csv(file, index=False)
    assert run(step, spec).checks[0].outcome == "passed"
    rows(len(after), at=after).to_csv(file, index=False)
    [check] = run(step, spec).checks
    assert (check.outcome, check.severity) == ("refused" if said else "passed", "warning")
    assert f"Column 'at' {said}" in check.because or not said
    again = run(step, spec).checks[0]
    assert again.outcome == ("refused" if "some rows" in said else "passed")


def test_parquet_times_of_another_zone_are_the_same_instants(open_step, tmp_path: Path):
    at = pd.Series(pd.to_datetime(["2013-01-01T12:00:00+09:00"])).dt.tz_convert("Asia/Tokyo")
    frame = rows(1, at=at)
    frame.to_parquet(tmp_path / "a.parquet")
    record = run(
        open_step(), IngestSpec(source={"kind": "file", "path": str(tmp_path / "a.parquet")})
    )
    assert record.newest == pd.Timestamp("2013-01-01T03:00:00Z")


def test_a_text_of_megabytes_is_read(read):
    record = read(rows(3, size=["a", "x" * 3_000_000, "b"]))
    assert record.new_rows == 3


@pytest.mark.parametrize("place", ["", "/*.csv", "/*"])
def test_a_file_that_is_not_whole_yet_is_passed_over(place, open_step, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    rows(2).to_csv(folder / "a.csv", index=False)
    (folder / "_b.csv").write_text("id,late,size\n7,0,1")
    (folder / ".c.csv").write_text("id,late")
    source = {"kind": "file", "path": f"{folder}{place}"}
    assert run(open_step(event_time=None), IngestSpec(source=source)).new_rows == 2
