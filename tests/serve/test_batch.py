"""Rows whose outcome is unknown get one prediction each, by the champion, however often it is asked."""

import json
import logging
import uuid
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.records import Outcome, Snapshot
from mlops_dagster.scoring.loader import open_model
from mlops_dagster.scoring.rows import decode_inputs
from mlops_dagster.serve.assets import build_stage
from mlops_dagster.serve.chunks import waiting_rows
from mlops_dagster.serve.endpoint.prediction_log import PredictionLog
from mlops_dagster.serve.run import run
from mlops_dagster.serve.spec import ServeSpec
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.workbench import StepContext, Workbench
from tests.scoring.models import MODEL, register

SPEC = ServeSpec(window=timedelta(days=1), chunk_rows=1_000)


def as_they_are(context, rows, snapshot):
    return rows


def step(bench: Workbench, *, model=MODEL, **config: str) -> StepContext:
    return StepContext(
        model=model,
        bench=bench,
        run_id=uuid.uuid4().hex,
        root_run_id="root",
        noun="predictions",
        log=logging.getLogger("test"),
        config=config,
    )


def accept(bench: Workbench, rows: pd.DataFrame, *, model=MODEL) -> Snapshot:
    """Write rows as accepted data."""
    table = pa.Table.from_pandas(rows.assign(_batch=1), preserve_index=False)
    version = bench.tables.overwrite(f"{model.address}/validated_data", table)
    return Snapshot(
        **step(bench, model=model).stamp(),
        data_version=version.ref.digest,
        table=version.ref,
        new_rows=version.ref.rows,
        through=1,
    )


def predictions(bench: Workbench, *, model=MODEL) -> pd.DataFrame:
    return bench.tables.read(f"{model.address}/predictions").to_pandas()


@pytest.fixture(scope="module")
def waiting() -> pd.DataFrame:
    """Forty-eight hours of rows, the first twelve of them with their outcome."""
    hours = range(48)
    return pd.DataFrame(
        {
            "id": [f"p{hour}" for hour in hours],
            "seen": pd.date_range("2026-02-01", periods=48, freq="h", tz="UTC"),
            "size": [None if hour % 7 == 0 else hour / 3 for hour in hours],
            "late": [1.0 if hour < 12 else None for hour in hours],
        }
    )


@pytest.fixture
def champion(bench, folders):
    register(bench, folders[0], run="r1", alias=CHAMPION)
    return open_model(folders[0])


def test_only_rows_without_an_outcome_are_scored_and_each_says_by_what_and_when(
    bench, champion, waiting
):
    record = run(step(bench), SPEC, accept(bench, waiting), join=as_they_are)
    made = predictions(bench)
    assert (record.outcome, record.new_rows, len(made)) == (Outcome.PASSED, 36, 36)
    assert set(made["id"]) == {f"p{hour}" for hour in range(12, 48)}
    assert made["prediction_id"].is_unique
    assert set(made["model_version"]) == {"1"}
    assert set(made["role"]) == {"batch"}
    assert set(made["window"]) == {"2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"}
    assert set(made["scored_at"]) == {pd.Timestamp("2026-03-01", tz="UTC")}


def test_a_target_that_is_not_a_number_is_unknown(bench, champion, waiting):
    accepted = accept(bench, waiting)
    rows = bench.tables.read(accepted.table.name)
    late = pa.array([0.0, *[1.0] * 11, *[float("nan")] * 36])
    place = rows.schema.get_field_index("late")
    ref = bench.tables.overwrite(accepted.table.name, rows.set_column(place, "late", late)).ref
    record = run(step(bench), SPEC, replace(accepted, table=ref), join=as_they_are)
    assert record.new_rows == 36


def test_a_batch_prediction_is_exactly_what_mlflow_answers(bench, champion, waiting):
    import mlflow.pyfunc

    run(step(bench), SPEC, accept(bench, waiting), join=as_they_are)
    version = bench.registry.by_alias("parcels", CHAMPION)
    plain = mlflow.pyfunc.load_model(str(bench.registry.download(version)))
    answer = plain.predict(waiting.iloc[12:][["seen", "size"]])
    made = predictions(bench).set_index("id").loc[list(waiting["id"].iloc[12:])]
    assert made["probability"].tolist() == answer["probability"].tolist()
    assert made["prediction"].tolist() == answer["prediction"].tolist()


def test_the_inputs_that_are_kept_answer_exactly_the_same_again(bench, champion, waiting):
    run(step(bench), SPEC, accept(bench, waiting), join=as_they_are)
    made = predictions(bench)
    again = champion.predict(decode_inputs(made["inputs"].tolist(), champion))
    assert again["probability"].tolist() == made["probability"].tolist()
    assert json.loads(made["inputs"].iloc[0]).keys() == {"seen", "size"}


def test_OR4_rescoring_a_window_overwrites_never_duplicates(bench, champion, folders, waiting):
    accepted = accept(bench, waiting)
    run(step(bench), SPEC, accepted, join=as_they_are)
    before = predictions(bench).set_index("prediction_id")
    again = run(step(bench), SPEC, accepted, join=as_they_are)
    assert again.new_rows == 0
    register(bench, folders[1], run="r2", alias=CHAMPION)
    record = run(step(bench, window="2026-02-02T00:00:00Z"), SPEC, accepted, join=as_they_are)
    after = predictions(bench).set_index("prediction_id")
    assert (record.new_rows, len(after)) == (24, 36)
    assert set(after.index) == set(before.index)
    by_window = after.groupby("window")["model_version"].unique().map(list).to_dict()
    assert by_window == {"2026-02-01T00:00:00Z": ["1"], "2026-02-02T00:00:00Z": ["2"]}


def test_a_new_champion_scores_the_waiting_rows_again(bench, champion, folders, waiting):
    accepted = accept(bench, waiting)
    run(step(bench), SPEC, accepted, join=as_they_are)
    register(bench, folders[1], run="r2", alias=CHAMPION)
    record = run(step(bench), SPEC, accepted, join=as_they_are)
    made = predictions(bench)
    assert (record.new_rows, len(made), set(made["model_version"])) == (36, 36, {"2"})


def test_a_prediction_stays_when_the_outcome_arrives_and_changes_with_its_row(
    bench, champion, waiting
):
    run(step(bench), SPEC, accept(bench, waiting), join=as_they_are)
    before = predictions(bench).set_index("id")
    later = waiting.assign(late=waiting["late"].where(waiting.index >= 20, 0.0))
    later.loc[47, "size"] = 99.0
    record = run(step(bench), SPEC, accept(bench, later), join=as_they_are)
    after = predictions(bench).set_index("id")
    assert record.new_rows == 1
    assert len(after) == 36
    assert after.loc["p15", "probability"] == before.loc["p15", "probability"]
    assert json.loads(after.loc["p47", "inputs"])["size"] == 99.0


def test_chunks_make_no_difference(bench, champion, waiting):
    many = pd.concat([waiting.assign(id=waiting["id"] + f"-{at}") for at in range(60)])
    run(step(bench), SPEC, accept(bench, many), join=as_they_are)
    made = predictions(bench)
    assert len(made) == made["prediction_id"].nunique() == 36 * 60
    row = made.set_index("id")["probability"]
    assert row["p20-0"] == row["p20-59"]


def test_rows_are_cut_into_full_chunks_and_written_in_larger_pieces(bench, champion, waiting):
    many = pd.concat([waiting.assign(id=waiting["id"] + f"-{at}") for at in range(60)])
    name = accept(bench, many).table.name
    bench.tables.append(name, bench.tables.read(name).slice(0, 100))
    source = bench.tables.dataset(name)
    cut = list(waiting_rows(source, target="late", chunk_rows=1_000))
    assert [one.num_rows for one in cut] == [
        1_000,
        1_000,
        source.to_table()["late"].null_count - 2_000,
    ]
    run(step(bench), SPEC, accept(bench, many), join=as_they_are)
    assert bench.tables.latest("parcels/all/predictions").ref.version == 0


def test_new_changed_and_unchanged_rows_of_one_chunk_are_told_apart(bench, champion, waiting):
    run(step(bench), SPEC, accept(bench, waiting.iloc[:40]), join=as_they_are)
    before = predictions(bench).set_index("id")
    later = waiting.copy()
    later.loc[[20, 30], "size"] = 99.0
    record = run(step(bench), SPEC, accept(bench, later), join=as_they_are)
    after = predictions(bench).set_index("id")
    assert (record.new_rows, len(after), after["prediction_id"].nunique()) == (10, 36, 36)
    changed = after.index[after["inputs"] != before["inputs"].reindex(after.index)]
    assert set(changed) == {"p20", "p30", *(f"p{hour}" for hour in range(40, 48))}


def test_equal_rows_without_a_key_have_a_prediction_each_however_they_are_cut(
    bench, champion, waiting
):
    keyless = MODEL.model_copy(update={"key": (), "event_time": None})
    rows = pd.concat([waiting.drop(columns="id")] * 60)
    accepted = accept(bench, rows, model=keyless)
    run(step(bench, model=keyless), SPEC, accepted, join=as_they_are)
    made = predictions(bench, model=keyless)
    assert len(made) == made["prediction_id"].nunique() == 36 * 60
    assert set(made["window"]) == {"batch-1"}
    again = run(step(bench, model=keyless), SPEC, accepted, join=as_they_are)
    assert again.new_rows == 0


@pytest.mark.parametrize("kind", ["naive", "date", "some null"])
def test_times_of_every_kind_have_a_window(bench, champion, waiting, kind):
    seen = {
        "naive": waiting["seen"].dt.tz_localize(None),
        "date": waiting["seen"].dt.date,
        "some null": waiting["seen"].where(waiting.index % 2 == 0),
    }[kind]
    run(step(bench), SPEC, accept(bench, waiting.assign(seen=seen)), join=as_they_are)
    windows = set(predictions(bench)["window"])
    assert {"2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"} == windows - {"no-time"}
    assert ("no-time" in windows) == (kind == "some null")


def test_a_row_of_any_year_is_scored(bench, champion, waiting):
    years = ["9999-12-31T00:00:00Z", "1600-01-01T00:00:00Z"] * 24
    seen = pd.to_datetime(pd.Series(years), utc=True).dt.as_unit("us")
    run(step(bench), SPEC, accept(bench, waiting.assign(seen=seen)), join=as_they_are)
    assert set(predictions(bench)["window"]) == set(years)


def test_a_segment_of_the_log_is_work_once_it_can_be_taken_in(bench, champion, waiting):
    stage, accepted = build_stage(MODEL, SPEC, join=as_they_are), accept(bench, waiting)
    before = stage.identify(step(bench), accepted)
    log = PredictionLog(bench.serving_log(MODEL.name, "all"), durability="os")
    log.append([{"id": "1"}], now=0.0)
    assert stage.identify(step(bench), accepted) == before
    log.seal()
    assert stage.identify(step(bench), accepted) != before


def test_without_a_champion_nothing_is_scored_and_nothing_fails(bench, waiting):
    accepted = accept(bench, waiting)
    record = run(step(bench), SPEC, accepted, join=as_they_are)
    assert (record.outcome, record.because) == (
        Outcome.NOT_APPLICABLE,
        "No champion yet: nothing was scored.",
    )
    assert record.table == accepted.table
    assert bench.tables.latest("parcels/all/predictions") is None


def test_when_no_row_waits_there_is_nothing_to_score(bench, champion, waiting):
    known = waiting.assign(late=1.0)
    record = run(step(bench), SPEC, accept(bench, known), join=as_they_are)
    assert (record.outcome, record.new_rows) == (Outcome.PASSED, 0)


def test_a_window_that_no_waiting_row_is_in_is_named(bench, champion, waiting):
    with pytest.raises(DataNotFitError, match="falls into the window '2027-01-01'"):
        run(step(bench, window="2027-01-01"), SPEC, accept(bench, waiting), join=as_they_are)


def test_a_window_may_be_named_by_its_day(bench, champion, waiting):
    accepted = accept(bench, waiting)
    record = run(step(bench, window="2026-02-02"), SPEC, accepted, join=as_they_are)
    assert (record.new_rows, set(predictions(bench)["window"])) == (24, {"2026-02-02T00:00:00Z"})


def test_MR7_a_champion_that_was_tampered_with_scores_nothing(bench, champion, waiting):
    version = bench.registry.by_alias("parcels", CHAMPION)
    (bench.registry.download(version) / "python_model.pkl").write_bytes(b"changed")
    with pytest.raises(StoreError, match="parcels version 1: the files at"):
        run(step(bench), SPEC, accept(bench, waiting), join=as_they_are)
    assert bench.tables.latest("parcels/all/predictions") is None


def test_second_tables_are_joined_by_the_caller(bench, champion, waiting):
    accepted = replace(accept(bench, waiting.drop(columns="size")))

    def join(context, rows, snapshot):
        assert snapshot is accepted
        return rows.append_column("size", pa.array([1.5] * rows.num_rows))

    run(step(bench), SPEC, accepted, join=join)
    assert {json.loads(text)["size"] for text in predictions(bench)["inputs"]} == {1.5}


def test_the_stage_knows_its_work_by_rows_champion_and_window(bench, folders, waiting):
    stage = build_stage(MODEL, SPEC, join=as_they_are)
    accepted = accept(bench, waiting)
    first = stage.identify(step(bench), accepted)
    register(bench, folders[0], run="r1", alias=CHAMPION)
    assert stage.identify(step(bench), accepted) != first
    assert set(stage.config) == {"window"}
