"""What a source gives again meets what was refused, mended and replayed before."""

import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.ingest.run import run as ingest
from mlops_dagster.ingest.spec import IngestSpec
from mlops_dagster.validate.quarantine import export, listed, replay
from mlops_dagster.validate.run import run as judge
from mlops_dagster.validate.spec import ValidateSpec

ALL = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "price", "min_value": 0, "max_value": 100},
}
MOST = {**ALL, "kwargs": {**ALL["kwargs"], "mostly": 0.1}}
COUNT = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 3}}


@pytest.fixture
def update(open_step, tmp_path):
    """Let a whole file be read and judged, as one update does."""
    file = tmp_path / "orders.csv"
    spec = IngestSpec(source={"kind": "file", "path": str(file)})

    def updated(prices: dict[int, float] | None = None, *, rule=ALL):
        if prices is not None:
            frame = pd.DataFrame({"id": prices.keys(), "price": prices.values()})
            frame.assign(at="2013-01-01T00:00:00Z", late=0).to_csv(file, index=False)
        raw = ingest(open_step("raw_data"), spec)
        return raw, judge(open_step(), ValidateSpec(expectations=[rule]), raw)

    return updated


def accepted(step) -> dict[int, float]:
    rows = step.bench.tables.read(step.table("validated_data")).to_pydict()
    return dict(sorted(zip(rows["id"], rows["price"], strict=True)))


def waiting(step) -> dict[int, int]:
    return {one.batch: one.waiting for one in listed(step.bench, step.model)}


def mend(step, prices: dict[int, float], *, batch: int = 1):
    rows = export(step.bench, step.model, batch=batch).to_pandas()
    rows = rows[rows["id"].isin(prices)]
    rows["price"] = rows["id"].map(prices)
    return replay(step, batch=batch, mended=pa.Table.from_pandas(rows, preserve_index=False))


def test_a_replay_leaves_rows_out_that_newer_ones_have_replaced(open_step, update):
    step = open_step()
    update({1: 5.0, 2: -5.0, 3: -6.0, 4: 7.0}, rule=MOST)
    exported = export(step.bench, step.model, batch=1)
    update({1: 5.0, 2: 50.0, 3: -6.0, 4: 7.0}, rule=MOST)
    assert waiting(step) == {1: 1}
    index = exported.schema.get_field_index("price")
    mended = exported.set_column(index, "price", pa.array([2.0, 2.0]))
    back = replay(step, batch=1, mended=mended)
    assert (back.rows, back.replaced) == (1, 1)
    update(rule=MOST)
    assert accepted(step) == {1: 5.0, 2: 50.0, 3: 2.0, 4: 7.0}
    assert waiting(step) == {1: 0}


def test_a_replay_of_rows_that_are_all_replaced_changes_nothing(open_step, update):
    step = open_step()
    update({1: 5.0, 2: -5.0}, rule=MOST)
    raw, _ = update({1: 5.0, 2: 50.0}, rule=MOST)
    with pytest.raises(DataNotFitError, match="1 rows of batch 1 were replaced by newer ones"):
        replay(step, batch=1)
    assert step.bench.tables.latest(step.table("raw_data")).ref == raw.table


def test_a_mended_row_stays_while_the_source_still_has_the_bad_one(open_step, update):
    step = open_step()
    update({1: 5.0, 2: -5.0}, rule=MOST)
    mend(step, {2: 55.0})
    update()
    raw, judged = update({1: 5.0, 2: -5.0, 3: 8.0})
    assert raw.because.startswith("1 new rows; ")
    assert "1 rows are as they were refused; their mended ones stay" in raw.because
    assert (judged.outcome, accepted(step)) == ("passed", {1: 5.0, 2: 55.0, 3: 8.0})
    assert update()[0].new_rows == 0


def test_whole_numbers_get_decimals_in_all_rows_and_a_mended_row_stays(open_step, update):
    step = open_step()
    update({1: 5, 2: -5}, rule=MOST)
    mend(step, {2: 55})
    update()
    before = step.bench.tables.read(step.table("validated_data"))
    assert before["price"].type == pa.int64()
    raw, judged = update({1: 5, 2: -5, 3: 8.5})
    assert raw.because.startswith("1 new rows; ")
    assert "1 rows are as they were refused; their mended ones stay" in raw.because
    [check] = raw.checks
    assert (check.severity, check.because[:62]) == (
        "warning",
        "Column 'price' held whole numbers and has decimals now: it is ",
    )
    assert (judged.outcome, accepted(step)) == ("passed", {1: 5.0, 2: 55.0, 3: 8.5})
    again, _ = update({1: 5, 2: -5, 3: 8})
    assert (again.because[:25], again.checks[0].outcome) == ("0 new rows, 1 corrected; ", "passed")
    assert accepted(step)[3] == 8.0


def test_a_bad_row_that_the_source_changes_itself_counts_as_new(open_step, update):
    step = open_step()
    update({1: 5.0, 2: -5.0}, rule=MOST)
    mend(step, {2: 55.0})
    update()
    update({1: 5.0, 2: 66.0})
    assert accepted(step) == {1: 5.0, 2: 66.0}


def test_the_good_rows_of_a_refused_batch_come_in_once_the_source_is_mended(open_step, update):
    step = open_step()
    update({1: 5.0, 2: -5.0, 3: 7.0})
    unchanged, _ = update()
    assert (unchanged.new_rows, unchanged.because[:12], waiting(step)) == (
        0,
        "Nothing new:",
        {1: 3},
    )
    raw, _ = update({1: 5.0, 2: 6.0, 3: 7.0, 4: 8.0})
    assert "3 rows of refused batches are judged again" in raw.because
    assert accepted(step) == {1: 5.0, 2: 6.0, 3: 7.0, 4: 8.0}
    assert waiting(step) == {1: 0}
    assert update()[0].new_rows == 0


def test_new_rows_are_not_refused_with_a_batch_that_is_still_bad(open_step, update):
    step = open_step()
    update({1: 5.0, 2: -5.0, 3: -7.0})
    update({1: 5.0, 2: 6.0, 3: -7.0, 4: 8.0})
    assert accepted(step) == {4: 8.0}
    assert waiting(step) == {1: 0, 3: 3}
    update({1: 5.0, 2: 6.0, 3: 7.0, 4: 8.0})
    assert accepted(step) == {1: 5.0, 2: 6.0, 3: 7.0, 4: 8.0}
    assert waiting(step) == {1: 0, 3: 0}


def test_a_bad_row_that_the_source_drops_lets_the_others_in(open_step, update):
    step = open_step()
    update({1: 5.0, 2: -5.0, 3: 7.0})
    update({1: 5.0, 3: 7.0})
    assert accepted(step) == {1: 5.0, 3: 7.0}
    assert waiting(step) == {1: 1}
    before = update()[0].table
    assert update()[0].table == before


def test_when_the_bad_row_alone_is_replayed_the_good_ones_follow(open_step, update):
    step = open_step()
    update({1: 5.0, 2: -5.0, 3: 7.0})
    mend(step, {2: 6.0})
    update()
    assert accepted(step) == {1: 5.0, 2: 6.0, 3: 7.0}
    assert waiting(step) == {1: 0}


def test_a_batch_refused_as_a_whole_is_judged_again_when_one_of_its_rows_changes(open_step, update):
    step = open_step()
    update({1: 5.0, 2: 6.0}, rule=COUNT)
    update({1: 5.0, 2: 6.0, 3: 7.0}, rule=COUNT)
    assert waiting(step) == {1: 2, 2: 1}
    update({1: 1.0, 2: 6.0, 3: 7.0}, rule=ALL)
    assert accepted(step) == {1: 1.0, 2: 6.0}


def test_a_replay_of_a_replay_can_be_mended_again_without_a_key(open_step, arrive):
    step = open_step(key=())
    spec = ValidateSpec(expectations=[MOST])
    rows = pd.DataFrame({"id": [1, 2], "price": [5.0, -5.0], "late": 0})
    judge(step, spec, arrive(step, rows))
    replay(step, batch=1)
    judge(step, spec, arrive(step))
    again = export(step.bench, step.model)
    assert again["price"].to_pylist() == [-5.0]
    index = again.schema.get_field_index("price")
    replay(step, batch=2, mended=again.set_column(index, "price", pa.array([9.0])))
    judge(step, spec, arrive(step))
    assert accepted(step) == {1: 5.0, 2: 9.0}
