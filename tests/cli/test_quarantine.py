from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from click.testing import CliRunner

from mlops_dagster.cli.main import main
from mlops_dagster.cli.status_facts import facts
from mlops_dagster.stores.tables import BATCH
from mlops_dagster.validate.quarantine import keep_out
from mlops_dagster.validate.ruling import Complaint
from mlops_dagster.workbench import Workbench

LOCATION = """
from mlops_dagster.lifecycle import build_lifecycle
from mlops_dagster.spec import LifecycleSpec

defs = build_lifecycle(
    LifecycleSpec.model_validate(
        {
            "name": "orders",
            "task": "binary_classification",
            "target": "late",
            "key": ["id"],
            "ingest": {"source": {"kind": "file", "path": "orders.csv"}},
            "train": {"estimator": "sklearn.linear_model.LogisticRegression"},
        }
    )
)
"""
ROWS = pa.table({"id": [1, 2, 3], "size": [10, -1, 30], "late": [0, 1, 0]})


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Workbench:
    """A model of which one row of three was refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    (tmp_path / "orders_location.py").write_text(LOCATION)
    (tmp_path / "workspace.yaml").write_text("load_from: [python_file: orders_location.py]\n")
    bench = Workbench(home=tmp_path / "home")
    batch = pa.array([1] * ROWS.num_rows, pa.int64())
    rows = ROWS.append_column(BATCH, batch)
    state = {"batch": "1", "mode": "keyed"}
    bench.tables.upsert("orders/all/raw_data", rows, key=["id"], state=state)
    complaint = Complaint(expectation="size_between", reason="size is -1")
    at = datetime(2024, 5, 1, tzinfo=UTC)
    name = "orders/all/quarantine"
    keep_out(bench.tables, name, rows, complaints={1: complaint}, batch=1, at=at)
    return bench


def quarantine(*arguments: str):
    return CliRunner().invoke(main, ["quarantine", *arguments])


def test_refused_rows_are_listed_with_the_reason(bench):
    assert quarantine("list", "orders").output == (
        "batch 1  2024-05-01 00:00  1 rows, 1 wait  size_between: size is -1\n"
    )


def test_mended_rows_come_back(bench, tmp_path):
    exported = quarantine("export", "orders", "--to", "refused.csv")
    assert "1 rows written to refused.csv" in exported.output, exported.output
    mended = (tmp_path / "refused.csv").read_text().replace("-1", "20", 1)
    (tmp_path / "mended.csv").write_text(mended)
    assert pacsv.read_csv(tmp_path / "mended.csv")["size"].to_pylist() == [20]

    back = quarantine("replay", "orders", "--batch", "1", "--rows", "mended.csv")

    assert back.exit_code == 0, back.output
    assert "1 rows of batch 1 are back in raw_data" in back.output
    assert "mlops-dagster run orders --job update" in back.output
    raw = bench.tables.read("orders/all/raw_data").sort_by("id")
    assert raw["size"].to_pylist() == [10, 20, 30]
    assert "1 rows, 0 wait" in quarantine("list", "orders").output


def test_a_batch_without_refused_rows_is_named(bench):
    result = quarantine("replay", "orders", "--batch", "7")
    assert result.exit_code == 1
    assert "no rows of batch 7 wait. Batches with waiting rows: [1]" in result.stderr


def test_an_unknown_file_kind_is_refused_before_anything_is_written(bench, tmp_path):
    result = quarantine("export", "orders", "--to", "refused.xlsx")
    assert result.exit_code == 1
    assert "'.xlsx' is not known" in result.stderr
    assert not (tmp_path / "refused.xlsx").exists()


def test_a_wrong_model_names_the_nearest(bench):
    result = quarantine("list", "order")
    assert result.exit_code == 1
    assert "There is no model 'order' in this workspace. Did you mean 'orders'" in result.stderr


def test_status_tells_of_waiting_rows(bench, tmp_path):
    (tmp_path / "home" / "operations.db").unlink(missing_ok=True)
    assert bench.operations.decisions("orders", "all") == []
    told = {one.label: one.text for one in facts(bench, "orders")}
    assert told["quarantine"] == (
        "1 rows wait in quarantine; see mlops-dagster quarantine list orders"
    )
    quarantine("replay", "orders", "--batch", "1")
    assert "quarantine" not in {one.label: one.text for one in facts(bench, "orders")}


def test_rows_that_newer_ones_replaced_are_left_out_and_told(bench):
    newer = pa.table({"id": [2], "size": [5], "late": [0], BATCH: [2]})
    state = {"batch": "2", "mode": "keyed", "key": '["id"]'}
    bench.tables.upsert("orders/all/raw_data", newer, key=["id"], state=state)
    result = quarantine("replay", "orders", "--batch", "1")
    assert result.exit_code == 1
    assert "1 rows of batch 1 were replaced by newer ones since" in result.stderr
    assert "1 rows, 0 wait" in quarantine("list", "orders").output


WORDS = pa.table(
    {
        "id": [1, 2, 3, 4],
        "word": ["NA", "", "007", None],
        "ok": [True, None, False, True],
        "late": [0, 1, 0, None],
    }
)


def test_a_csv_of_refused_rows_comes_back_as_it_was(bench):
    rows = WORDS.append_column(BATCH, pa.array([2] * 4, pa.int64()))
    bench.tables.overwrite("orders/all/raw_data", rows, state={"batch": "2", "mode": "keyed"})
    complaint = Complaint(expectation="size_between", reason="size is -1")
    keep_out(
        bench.tables,
        "orders/all/quarantine",
        rows,
        complaints=dict.fromkeys(range(4), complaint),
        batch=2,
        at=datetime(2024, 5, 1, tzinfo=UTC),
        refused=True,
    )
    quarantine("export", "orders", "--to", "refused.csv")
    back = quarantine("replay", "orders", "--batch", "2", "--rows", "refused.csv")
    assert "4 rows of batch 2 are back" in back.output, back.output
    raw = bench.tables.read("orders/all/raw_data").drop_columns([BATCH])
    assert raw.sort_by("id").to_pylist() == WORDS.to_pylist()


BAD_FILES = {
    "no folder": (["export", "orders", "--to", "gone/refused.csv"], "Is its folder there?"),
    "no batch": (
        ["export", "orders", "--to", "refused.csv", "--batch", "77"],
        "no rows of batch 77 wait. Batches with waiting rows: [1]",
    ),
    "no file": (["replay", "orders", "--batch", "1", "--rows", "no.csv"], "cannot be read as CSV"),
    "no number": (
        ["replay", "orders", "--batch", "1", "--rows", "words.csv"],
        "column 'size' is int64, and a text does not fit",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_no_answer_is_refused_with_a_sentence(arguments, message, bench, tmp_path):
    (tmp_path / "refused.csv").write_text("kept")
    (tmp_path / "words.csv").write_text("id,size,late\n2,many,1\n")
    result = quarantine(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert (tmp_path / "refused.csv").read_text() == "kept"


def test_nothing_is_written_when_no_row_waits(bench, tmp_path):
    quarantine("replay", "orders", "--batch", "1")
    told = quarantine("export", "orders", "--to", "refused.csv")
    assert told.output == "orders: no refused row waits; refused.csv was not written.\n"
    assert not (tmp_path / "refused.csv").exists()
