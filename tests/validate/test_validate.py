import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.errors import DataNotFitError, SpecError
from mlops_dagster.records import Outcome, Severity
from mlops_dagster.stores.tables import BATCH
from mlops_dagster.validate.assets import build_stage
from mlops_dagster.validate.names import KNOWN, NEED_SQL, check_names
from mlops_dagster.validate.quarantine import export, listed, replay
from mlops_dagster.validate.run import run
from mlops_dagster.validate.spec import ExpectationSpec, ValidateSpec
from mlops_dagster.validate.suite_file import expectations_of

NOT_NULL = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "origin"}}
IN_RANGE = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "price", "min_value": 0, "max_value": 100},
}


def frame(*ids: int, origin: object = "JFK", price: object = 5.0) -> pd.DataFrame:
    at = [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=one) for one in ids]
    return pd.DataFrame({"id": list(ids), "at": at, "origin": origin, "price": price, "late": 0})


def suite(*expectations: dict[str, object], **changed: object) -> ValidateSpec:
    return ValidateSpec(expectations=[{**one, **changed} for one in expectations])


def mostly(share: float, expectation: dict[str, object] = IN_RANGE) -> dict[str, object]:
    return {**expectation, "kwargs": {**expectation["kwargs"], "mostly": share}}


def ids_of(step, noun="validated_data") -> list[int]:
    return sorted(step.bench.tables.read(step.table(noun))["id"].to_pylist())


def held(step) -> pd.DataFrame:
    return step.bench.tables.read(step.table("quarantine")).to_pandas()


def test_TE3_a_bad_batch_is_refused_and_the_expectation_is_named(open_step, arrive):
    step = open_step()
    spec = suite(NOT_NULL, IN_RANGE)
    good = run(step, spec, arrive(step, frame(1, 2)))
    bad = run(step, spec, arrive(step, frame(3, 4, origin=["LGA", None])))
    assert (good.outcome, good.new_rows, good.because) == (
        Outcome.PASSED,
        2,
        "Batch 1: 2 rows accepted.",
    )
    assert (bad.outcome, bad.new_rows, bad.table.rows) == (Outcome.REFUSED, 0, 2)
    assert bad.because == (
        "Batch 2 (2 rows) was refused by column_values_to_not_be_null__origin: Broken: 1 of 2 rows "
        "(50 %) do not meet origin: expect_column_values_to_not_be_null, such as null; all rows must. "
        "All its rows are in quarantine. Mend the source, or export the rows, mend them and replay them "
        "(mlops-dagster quarantine)."
    )
    assert bad.table.digest == good.table.digest
    [null, price] = bad.checks
    assert (null.outcome, null.severity) == (Outcome.REFUSED, Severity.CRITICAL)
    assert null.shown["unexpected_percent"].value == 50.0
    assert null.shown["unexpected_sample"].value == ["null"]
    assert price.outcome is Outcome.PASSED
    assert ids_of(step) == [1, 2]


def test_a_refused_batch_never_blocks_a_later_good_one(open_step, arrive):
    step = open_step()
    spec = suite(NOT_NULL)
    refused = run(step, spec, arrive(step, frame(1, origin=None)))
    later = run(step, spec, arrive(step, frame(2)))
    assert (refused.outcome, later.outcome) == (Outcome.REFUSED, Outcome.PASSED)
    assert ids_of(step) == [2]


def test_of_a_good_and_a_bad_batch_in_one_run_the_good_one_goes_on(open_step, arrive):
    step = open_step()
    arrive(step, frame(1, origin=None))
    record = run(step, suite(NOT_NULL), arrive(step, frame(2)))
    [check] = record.checks
    assert (record.outcome, ids_of(step)) == (Outcome.PASSED, [2])
    assert (check.outcome, check.severity) == (Outcome.REFUSED, Severity.WARNING)
    assert "Batch 1 (1 rows) was refused by" in record.because
    assert "Batch 2: 1 rows accepted." in record.because
    assert check.because.endswith("The batch is refused.")


def test_PR3_rejected_rows_go_to_quarantine_with_reason_and_can_be_replayed(open_step, arrive):
    step = open_step()
    spec = suite(mostly(0.5))
    record = run(step, spec, arrive(step, frame(1, 2, 3, price=[5.0, 500.0, 7.0])))
    assert (record.outcome, ids_of(step)) == (Outcome.PASSED, [1, 3])
    assert record.because == (
        "Batch 1: 2 rows accepted, 1 rows to quarantine: Holds: 1 of 3 rows (33.33 %) do not meet price: "
        "expect_column_values_to_be_between (min_value=0, max_value=100, mostly=0.5), such as 500.0; "
        "at least 50 % of rows must."
    )
    [check] = record.checks
    assert check.because.endswith("at least 50 % of rows must. These rows go to quarantine.")
    [one] = listed(step.bench, step.model)
    assert (one.batch, one.rows, one.waiting) == (1, 1, 1)
    assert one.expectations == ("column_values_to_be_between__price",)
    assert one.reason == (
        "Does not meet price: expect_column_values_to_be_between "
        "(min_value=0, max_value=100, mostly=0.5)."
    )

    waiting = export(step.bench, step.model, batch=1)
    mended = waiting.set_column(waiting.schema.get_field_index("price"), "price", pa.array([50.0]))
    assert replay(step, batch=1, mended=mended).rows == 1
    assert listed(step.bench, step.model)[0].waiting == 0
    after = run(step, spec, arrive(step))
    assert (after.outcome, ids_of(step)) == (Outcome.PASSED, [1, 2, 3])
    rows = step.bench.tables.read(step.table("validated_data")).to_pandas().set_index("id")
    assert rows.loc[2, "price"] == 50.0
    assert rows.loc[2, BATCH] == 2
    with pytest.raises(DataNotFitError, match=r"no rows of batch 1 wait. .*waiting rows: \[\]"):
        replay(step, batch=1)


def test_a_refused_batch_can_come_back_row_by_row(open_step, arrive):
    step = open_step()
    run(step, suite(NOT_NULL), arrive(step, frame(1, 2, 3, origin=["JFK", None, "LGA"])))
    assert held(step)["reason"].str.startswith(("The batch was refused", "Does not meet")).all()
    rows = export(step.bench, step.model)
    assert rows.num_rows == 3
    assert replay(step, batch=1, mended=rows.filter(pa.array([True, False, True]))).rows == 2
    assert run(step, suite(NOT_NULL), arrive(step)).outcome is Outcome.PASSED
    assert ids_of(step) == [1, 3]
    assert export(step.bench, step.model)["id"].to_pylist() == [2]


def test_exported_rows_are_exactly_those_that_were_refused(open_step, arrive):
    step = open_step()
    rows = frame(1, 2, origin=None).assign(
        day=date(2013, 1, 2), raw=[b"\x00\xff", None], ok=[True, None], word='ä"\n'
    )
    snapshot = arrive(step, rows)
    run(step, suite(NOT_NULL), snapshot)
    back = export(step.bench, step.model).drop_columns([BATCH, "_reason", "_expectation"])
    own = step.bench.tables.read(snapshot.table.name).drop_columns([BATCH])
    assert back.sort_by("id").equals(own.sort_by("id"))


BAD_RETURNS = {
    "stranger": (frame(9), "1 of 1 mended rows have a key that does not wait; first: {'id': 9}"),
    "no column": (frame(1).drop(columns="price"), "'price' is missing"),
    "no number": (frame(1).assign(price="x"), "column 'price'"),
    "no time": (frame(1).assign(at="soon"), "'at' holds no ISO 8601 time"),
}


@pytest.mark.parametrize(("rows", "message"), BAD_RETURNS.values(), ids=BAD_RETURNS)
def test_mended_rows_that_do_not_fit_are_refused_and_nothing_moves(
    rows, message, open_step, arrive
):
    step = open_step()
    raw = arrive(step, frame(1, origin=None))
    run(step, suite(NOT_NULL), raw)
    with pytest.raises(DataNotFitError) as refused:
        replay(step, batch=1, mended=pa.Table.from_pandas(rows))
    assert message in str(refused.value)
    assert step.bench.tables.latest(raw.table.name).ref == raw.table
    assert listed(step.bench, step.model)[0].waiting == 1


def test_without_a_key_all_of_a_batch_must_come_back(open_step, arrive):
    step = open_step(key=())
    run(step, suite(NOT_NULL), arrive(step, frame(1, 2, origin=None)))
    rows = export(step.bench, step.model)
    with pytest.raises(DataNotFitError, match="1 mended rows for 2 that wait"):
        replay(step, batch=1, mended=rows.slice(0, 1))


def test_a_snapshot_replaces_what_was_accepted_and_a_refused_one_does_not(open_step, arrive):
    step = open_step(key=())
    spec = suite(NOT_NULL)
    run(step, spec, arrive(step, frame(1, 2)))
    refused = run(step, spec, arrive(step, frame(3, 4, origin=None)))
    assert (refused.outcome, ids_of(step)) == (Outcome.REFUSED, [1, 2])
    mended = export(step.bench, step.model)
    index = mended.schema.get_field_index("origin")
    replay(step, batch=2, mended=mended.set_column(index, "origin", pa.array(["JFK", "LGA"])))
    assert run(step, spec, arrive(step)).outcome is Outcome.PASSED
    assert ids_of(step) == [3, 4]
    run(step, spec, arrive(step, frame(5)))
    assert ids_of(step) == [5]


@pytest.mark.parametrize("severity", ["warning", "info"])
def test_a_warning_shows_and_does_not_block(severity, open_step, arrive):
    step = open_step()
    record = run(step, suite(IN_RANGE, severity=severity), arrive(step, frame(1, 2, price=-1.0)))
    [check] = record.checks
    assert (record.outcome, ids_of(step)) == (Outcome.PASSED, [1, 2])
    assert (check.outcome, check.severity) == (Outcome.REFUSED, severity)
    assert (f"Warned of: {check.name}." in record.because) is (severity == "warning")
    assert step.bench.tables.latest(step.table("quarantine")) is None


def test_a_rule_of_the_whole_batch_refuses_it(open_step, arrive):
    step = open_step()
    count = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 3}}
    record = run(step, suite(count), arrive(step, frame(1, 2)))
    [check] = record.checks
    assert record.outcome is Outcome.REFUSED
    assert check.name == "table_row_count_to_be_between"
    assert check.because == (
        "Batch 1: Broken: expect_table_row_count_to_be_between (min_value=3): observed 2. "
        "The batch is refused."
    )
    assert len(held(step)) == 2


def test_a_missing_column_refuses_the_batch_with_its_name(open_step, arrive):
    step = open_step()
    nope = {**NOT_NULL, "kwargs": {"column": "nope"}}
    record = run(step, suite(nope, IN_RANGE), arrive(step, frame(1)))
    assert record.outcome is Outcome.REFUSED
    assert 'Could not be judged: Error: The column "nope"' in record.because
    assert [one.outcome for one in record.checks] == [Outcome.REFUSED, Outcome.PASSED]


def test_a_corrected_row_that_is_bad_leaves_the_accepted_one(open_step, arrive):
    step = open_step()
    spec = suite(mostly(0.1))
    run(step, spec, arrive(step, frame(1, 2)))
    run(step, spec, arrive(step, frame(1, 3, price=[-1.0, 6.0])))
    rows = step.bench.tables.read(step.table("validated_data")).to_pandas().set_index("id")
    assert rows["price"].to_dict() == {1: 5.0, 2: 5.0, 3: 6.0}


def test_a_step_killed_after_the_quarantine_repeats_the_batch_and_loses_no_row(open_step, arrive):
    step = open_step()
    spec = suite(mostly(0.5))
    arrive(step, frame(1, 2, price=[5.0, -5.0]))
    run(step, spec, arrive(step))
    accepted = step.bench.tables.at(step.table("validated_data"), 0)
    step.bench.tables.overwrite(
        accepted.ref.name, accepted.schema.empty_table(), state={"judged_to": "0"}
    )
    run(step, spec, arrive(step))
    assert (ids_of(step), len(held(step))) == ([1], 1)


def test_a_replay_killed_before_its_mark_adds_no_row_twice(open_step, arrive):
    step = open_step(key=())
    run(step, suite(NOT_NULL), arrive(step, frame(1, 2, origin=None)))
    entries = step.bench.tables.read(step.table("quarantine"))
    replay(step, batch=1)
    after = step.bench.tables.latest(step.table("raw_data")).ref
    step.bench.tables.replace(step.table("quarantine"), entries, where={BATCH: 1})
    assert replay(step, batch=1).rows == 2
    assert step.bench.tables.latest(step.table("raw_data")).ref == after


def test_nothing_new_gives_the_accepted_rows_again(open_step, arrive):
    step = open_step()
    first = run(step, suite(NOT_NULL), arrive(step, frame(1)))
    again = run(step, suite(IN_RANGE), arrive(step))
    assert (again.outcome, again.table, again.data_version, again.checks) == (
        Outcome.PASSED,
        first.table,
        first.data_version,
        (),
    )
    assert again.because == "Nothing new to judge: 1 accepted rows, the last from batch 1."


def test_nothing_new_after_nothing_accepted_stays_refused(open_step, arrive):
    step = open_step()
    run(step, suite(NOT_NULL), arrive(step, frame(1, origin=None)))
    again = run(step, suite(IN_RANGE), arrive(step))
    assert again.outcome is Outcome.REFUSED
    assert "every batch so far was refused" in again.because


def test_the_work_is_known_by_the_rows_and_the_suite(open_step, arrive, tmp_path):
    step = open_step()
    file = tmp_path / "suite.json"
    file.write_text(json.dumps({"expectations": [NOT_NULL]}))
    stage = build_stage(step.model, ValidateSpec(suite=str(file)))
    raw = arrive(step, frame(1))
    first = stage.identify(step, raw)
    assert stage.identify(step, raw) == first
    file.write_text(json.dumps({"expectations": [IN_RANGE]}))
    assert stage.identify(step, raw) != first
    assert stage.identify(step, arrive(step, frame(2))) != first


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_suite_that_great_expectations_wrote_is_read(suffix, tmp_path):
    import great_expectations as gx
    import yaml

    written = gx.ExpectationSuite(name="s", expectations=[NOT_NULL, mostly(0.9)]).to_json_dict()
    path = tmp_path / f"suite.{suffix}"
    path.write_text(json.dumps(written) if suffix == "json" else yaml.safe_dump(written))
    spec = ValidateSpec(expectations=[IN_RANGE], suite=str(path))
    expectations = expectations_of(spec, where="shop.validate")
    assert check_names(expectations) == (
        "column_values_to_be_between__price",
        "column_values_to_not_be_null__origin",
        "column_values_to_be_between__price_2",
    )
    assert expectations[2].kwargs["mostly"] == 0.9


BAD_SUITES = {
    "none": (None, "the suite cannot be read: No such file"),
    "no list": ({"name": "s"}, "no list under `expectations`"),
    "version 0": (
        {"expectations": [{"expectation_type": "x"}]},
        "how Great Expectations 0.x wrote",
    ),
    "no mapping": (["x"], "a mapping with `type` and `kwargs`, not 'x'"),
    "severity": ([{**NOT_NULL, "severity": "bad"}], r"suite.json\[0\].severity: Input should be"),
    "unknown": (
        [{"type": "expect_nothing"}],
        r"suite.json\[0\].type: 'expect_nothing' is not known",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD_SUITES.values(), ids=BAD_SUITES)
def test_a_wrong_suite_file_is_named_with_what_is_wrong(content, message, tmp_path):
    path = tmp_path / "suite.json"
    if content is not None:
        path.write_text(json.dumps(content))
    with pytest.raises(SpecError, match=message):
        expectations_of(ValidateSpec(suite=str(path)), where="shop.validate")


def test_an_unknown_expectation_is_refused_at_load_with_the_nearest_word(open_step):
    model = open_step().model
    spec = suite(IN_RANGE, {"type": "expect_column_values_to_not_be_nul"})
    with pytest.raises(SpecError, match=r"shop.validate.expectations\[1\].type") as refused:
        build_stage(model, spec)
    assert "Did you mean 'expect_column_values_to_not_be_null'?" in str(refused.value)
    with pytest.raises(SpecError, match="works on a database only"):
        build_stage(model, suite({"type": "unexpected_rows_expectation"}))


BAD_KWARGS = {
    "extra": (
        {"column": "price", "min_valu": 0, "max_value": 1},
        "min_valu: extra fields not perm",
    ),
    "missing": ({"min_value": 0}, "column: field required"),
    "mostly": ({"column": "a", "min_value": 0, "mostly": 3}, "mostly: ensure this value is less"),
}


@pytest.mark.parametrize(("kwargs", "message"), BAD_KWARGS.values(), ids=BAD_KWARGS)
def test_what_great_expectations_does_not_take_names_the_field(kwargs, message):
    from mlops_dagster.validate.suite import parse

    wrong = ExpectationSpec(type=IN_RANGE["type"], kwargs=kwargs)
    with pytest.raises(SpecError, match=rf"shop.validate\[0\] \({wrong.type}\): .*{message}"):
        parse([wrong], where="shop.validate")


def test_the_known_names_are_those_of_the_installed_great_expectations():
    import great_expectations.expectations  # noqa: F401 it fills the registry
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    assert set(list_registered_expectation_implementations()) == KNOWN | NEED_SQL


def test_each_expectation_is_a_check_that_blocks_by_severity(open_step):
    stage = build_stage(open_step().model, suite(NOT_NULL, {**IN_RANGE, "severity": "warning"}))
    assert [(one.name, one.blocking) for one in stage.checks] == [
        ("column_values_to_not_be_null__origin", True),
        ("column_values_to_be_between__price", False),
    ]
    assert stage.needs == ("raw_data",)


def test_the_report_is_one_page_that_escapes_what_it_shows(open_step, arrive):
    step = open_step()
    in_set = {"type": "expect_column_values_to_be_in_set"}
    spec = suite({**in_set, "kwargs": {"column": "origin", "value_set": ["JFK"]}})
    record = run(step, spec, arrive(step, frame(1, origin="<script>alert(1)</script>")))
    page = Path(record.shown["report"].value)
    text = page.read_text()
    assert page == step.bench.home / "reports" / "shop" / "all" / "validation-refused-run1.html"
    assert "&lt;script&gt;alert(1)" in text
    assert not [
        one for one in ("<script", "<link", "http://", "https://", "@import") if one in text
    ]
    assert "prefers-color-scheme" in text


def test_the_report_of_a_refused_batch_outlives_the_next_one(open_step, arrive):
    step = open_step()
    refused = run(step, suite(NOT_NULL), arrive(step, frame(1, origin=None)))
    accepted = run(step, suite(NOT_NULL), arrive(step, frame(2)))
    own, last = (Path(one.shown["report"].value) for one in (refused, accepted))
    assert (own.name, last.name) == ("validation-refused-run1.html", "validation.html")
    assert own.parent == last.parent
    assert "Refused" in own.read_text()
    assert "Refused" not in last.read_text()


def test_counts_are_grouped_and_observed_values_rounded_in_sentences(open_step, arrive):
    step = open_step()
    count = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
    top = {"type": "expect_column_max_to_be_between", "kwargs": {"column": "id", "min_value": 1}}
    mean = {**top, "type": "expect_column_mean_to_be_between", "kwargs": {"column": "price"}}
    mean["kwargs"]["min_value"] = 0
    rows = frame(*range(1_200), price=[0.0] * 1_199 + [1.0])
    record = run(step, suite(count, top, mean), arrive(step, rows))
    assert record.because == "Batch 1: 1,200 rows accepted."
    told = [check.because.rpartition("observed ")[2] for check in record.checks]
    assert told == ["1,200.", "1199.", "0.000833333."]
    assert record.checks[2].shown["observed_value"].value == 1 / 1_200


LAZY = """
import logging, sys
from pathlib import Path
import pyarrow as pa
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import Snapshot
from mlops_dagster.validate.assets import build_stage
from mlops_dagster.validate.spec import ValidateSpec
from mlops_dagster.workbench import StepContext, Workbench

model = ModelIdentity(name="a", task="regression", target="y")
bench = Workbench(home=Path(sys.argv[1]))
step = StepContext(model=model, bench=bench, run_id="r", root_run_id="r", noun="n", log=logging.root)
rows = pa.table({"y": [1.0], "_batch": [1]})
raw = bench.tables.append("a/all/raw_data", rows, state={"batch": "1"})
given = Snapshot(**step.stamp(), data_version="", table=raw.ref, new_rows=1, through=1)
count = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 1}}
for spec in (ValidateSpec(), ValidateSpec(expectations=[count])):
    stage = build_stage(model, spec)
    stage.identify(step, given)
    print(stage.run(step, given).because)
print("great_expectations" in sys.modules)
"""


def test_great_expectations_is_not_imported_without_something_to_judge(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", LAZY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == [
        "Batch 1: 1 rows accepted. No expectations are declared.",
        "Nothing new to judge: 1 accepted rows, the last from batch 1.",
        "False",
    ]


def test_great_expectations_tells_nobody_about_it(monkeypatch):
    import os

    from mlops_dagster.validate.suite import import_quietly

    monkeypatch.delenv("GX_ANALYTICS_ENABLED", raising=False)
    import_quietly()
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_rows_without_any_expectation_pass_and_it_is_said(open_step, arrive):
    step = open_step()
    record = run(step, ValidateSpec(), arrive(step, frame(1)))
    assert (record.outcome, record.checks) == (Outcome.PASSED, ())
    assert record.because == "Batch 1: 1 rows accepted. No expectations are declared."
