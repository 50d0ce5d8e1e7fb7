"""What is in one file of many does not decide what a column is."""

from pathlib import Path

import pandas as pd
import pytest

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.ingest.run import run
from mlops_dagster.ingest.spec import IngestSpec


@pytest.fixture
def read(open_step, tmp_path):
    """Write files of a folder and take it in, as `raw_data` then is."""
    folder = tmp_path / "source"
    folder.mkdir()

    def taken(event_time=None, **files: str):
        for name, text in files.items():
            (folder / f"{name}.csv").write_text(text)
        spec = IngestSpec(source={"kind": "file", "path": str(folder)})
        step = open_step(event_time=event_time)
        record = run(step, spec)
        return step.bench.tables.read(record.table.name).sort_by("id")

    return taken


def test_text_of_digits_keeps_its_zeros_where_the_table_has_text(read):
    read(day1="id,late,zip\n1,0,01234\n2,0,K1A\n")
    rows = read(day1="id,late,zip\n1,0,01234\n2,0,00501\n")
    assert rows["zip"].to_pylist() == ["01234", "00501"]


def test_a_first_read_takes_a_column_as_text_that_is_text_in_any_file(read):
    rows = read(
        day1="id,late,zip,size\n1,0,01234,1\n",
        day2="id,late,zip,size\n2,0,K1A,\n",
        day3="id,late,zip,size\n3,0,,2.5\n",
    )
    assert rows["zip"].to_pylist() == ["01234", "K1A", None]
    assert rows["size"].to_pylist() == [1.0, None, 2.5]


def test_a_new_column_is_text_where_it_is_text_in_any_file(read):
    read(day1="id,late\n1,0\n")
    rows = read(day2="id,late,zip\n2,0,01234\n", day3="id,late,zip\n3,0,K1A\n")
    assert rows["zip"].to_pylist() == [None, "01234", "K1A"]


def test_times_with_a_zone_in_some_files_alone_are_the_same_instants(read):
    rows = read(
        "at",
        day1="id,late,at\n1,0,2013-01-01T12:00:00\n",
        day2="id,late,at\n2,0,2013-01-01T14:00:00+02:00\n",
    )
    assert rows["at"].to_pylist() == [pd.Timestamp("2013-01-01T12:00:00Z")] * 2


@pytest.mark.parametrize("nothing", ["", "\n", "id,late,zip\n"])
def test_a_file_without_rows_stops_no_other(nothing, read):
    rows = read(day1="id,late,zip\n1,0,a\n", day2=nothing)
    assert rows["zip"].to_pylist() == ["a"]


def test_an_empty_file_of_json_lines_stops_no_other(open_step, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "late": 0}\n')
    (tmp_path / "b.jsonl").write_text("")
    spec = IngestSpec(source={"kind": "file", "path": str(tmp_path)})
    assert run(open_step(event_time=None), spec).new_rows == 1


BAD_FILES = {
    "text among numbers": (
        "id,late,size\n2,0,1\n3,0,many\n",
        "day2.csv: column 'size': 1 of 2 rows hold no number, and it was int64; first: 'many' in row 2",
    ),
    "another kind": (
        "id,late,size\n2,0,2013-01-01T12:00:00\n",
        "day2.csv does not fit to the files",
    ),
    "twice": ("id,late,late\n2,0,0\n", "day2.csv: the columns ['late'] come twice"),
}


@pytest.mark.parametrize(("text", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_the_file_that_does_not_fit_is_named(text, said, read):
    read(day1="id,late,size\n1,0,1\n")
    with pytest.raises(DataNotFitError) as refused:
        read(day2=text)
    assert said in str(refused.value)


def test_the_file_that_holds_no_time_is_named(read):
    with pytest.raises(DataNotFitError, match=r"b.csv: column 'at': 1 of 1 .*'soon' in row 1"):
        read("at", a="id,late,at\n1,0,2013-01-01T12:00:00\n", b="id,late,at\n2,0,soon\n")


def test_a_file_of_another_format_says_its_own_types(open_step, tmp_path: Path):
    pd.DataFrame({"id": [1], "late": 0, "zip": 5}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("id,late,zip\n2,0,K1A\n")
    spec = IngestSpec(source={"kind": "file", "path": str(tmp_path)})
    with pytest.raises(DataNotFitError, match=r"b\.csv does not fit to the files before it"):
        run(open_step(event_time=None), spec)
