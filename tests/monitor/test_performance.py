from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.declaration import LabelJoin, Task
from mlops_dagster.metrics.quality import Scored
from mlops_dagster.monitor.due import state_of
from mlops_dagster.monitor.spec import MonitorSpec, PerformanceSpec
from mlops_dagster.profiles.answers import answer_reference, write_answers
from mlops_dagster.profiles.reference import as_table
from mlops_dagster.profiles.tables import profile_of
from mlops_dagster.records import Outcome
from mlops_dagster.scoring.rows import encode_inputs
from tests.monitor.conftest import START, WEEK, Shop, week_of_rows

METRICS = ("log_loss", "roc_auc", "accuracy")
SPEC = MonitorSpec(performance=PerformanceSpec(window=WEEK, metrics=METRICS, slices=("origin",)))
FITTED = [week_of_rows(number) for number in range(4)]
JOIN = LabelJoin(prediction_id="pid", label="outcome", label_time="known")


def truth_of(rows: pd.DataFrame, *, flipped: float = 0.0) -> np.ndarray:
    """Outcomes as the model believes them to be, a share of them the other way round."""
    chance = np.random.default_rng(len(rows))
    late = chance.random(len(rows)) < 1 / (1 + np.exp(-rows["delay"].fillna(0)))
    return (late ^ (chance.random(len(rows)) < flipped)).astype(int).to_numpy()


@cache
def held_out():
    """How the champion's answers did on six thousand rows that it had not seen."""
    rows = pd.concat([week_of_rows(90 + number) for number in range(10)]).reset_index(drop=True)
    model = Shop(folder=Path(), context=None).model("1")
    answer = model.predict(rows)
    watched = as_table(answer[["probability"]])
    scored = Scored(
        y_true=truth_of(rows),
        y_pred=answer["prediction"].to_numpy(),
        probability=answer["probability"].to_numpy(),
        labels=(0, 1),
    )
    return answer_reference(
        Task.BINARY,
        scored,
        metrics={},
        slices=rows[["origin"]],
        features=model.features(rows),
        answers=(watched, profile_of(watched)),
    )


@dataclass
class Outcomes:
    """A shop whose answers are stored, and whose labels come in many ways."""

    shop: Shop
    told: list[dict] = field(default_factory=list)
    join: LabelJoin = JOIN

    def begin(self, *later: pd.DataFrame) -> None:
        self.weeks = 4 + len(later)
        self.validated = self.shop.arrive(*FITTED, *later)
        self.shop.crown("1", *FITTED)
        write_answers(self.shop.folder / "1", held_out())
        self.shop.at(START + WEEK * self.weeks)

    def answer(self, rows: pd.DataFrame, *, version: str = "1", role: str = "batch") -> None:
        """Keep the champion's answers as `serve` does."""
        model = self.shop.model(version)
        answer = model.predict(rows)
        table = pa.table(
            {
                "prediction_id": [f"{version}-{role}-{one}" for one in rows["id"]],
                "id": pa.array(rows["id"]),
                "at": pa.array(rows["at"]),
                "inputs": encode_inputs(rows[model.inputs].reset_index(drop=True)),
                "prediction": pa.array(answer["prediction"]),
                "probability": pa.array(answer["probability"]),
                "probabilities": pa.nulls(len(rows), pa.string()),
                "model_version": [version] * len(rows),
                "role": [role] * len(rows),
                "scored_at": pa.array(rows["at"]),
            }
        )
        self.shop.context.bench.tables.append("shop/all/predictions", table)

    def declare(self, *labels: tuple[str, object, str | None], by_key: bool = False) -> None:
        """Add (prediction id, outcome, day it is known) to the source, and take it in whole."""
        self.told += [
            {"pid": pid, "outcome": outcome, "known": pd.Timestamp(day, tz="UTC") if day else None}
            for pid, outcome, day in labels
        ]
        frame = pd.DataFrame(self.told).assign(_arrival=range(len(self.told)))
        named = "id" if by_key else "pid"
        ids = [one.rpartition("-")[2] for one in frame["pid"]] if by_key else frame["pid"]
        table = pa.table(
            {
                named: pa.array(ids, pa.string()),
                "outcome": pa.array([_float(one) for one in frame["outcome"]], pa.float64()),
                "known": pa.array(frame["known"], pa.timestamp("us", "UTC")),
                "_arrival": pa.array(frame["_arrival"], pa.int64()),
            }
        )
        self.shop.context.bench.tables.overwrite("shop/all/labels", table)

    def feed(self, *labels: tuple[str, str, str]) -> None:
        """Tell (prediction id, outcome as JSON, time) to the endpoint."""
        tables = self.shop.context.bench.tables
        known = tables.latest("shop/all/feedback")
        count = known.ref.rows if known else 0
        stamp = pa.timestamp("us", "UTC")
        rows = pa.table(
            {
                "feedback_id": [f"f{count + at}" for at in range(len(labels))],
                "prediction_id": [one[0] for one in labels],
                "value": [one[1] for one in labels],
                "time": pa.array([pd.Timestamp(one[2], tz="UTC") for one in labels], stamp),
                "at": pa.array(
                    [START + WEEK * 9 + timedelta(seconds=count + at) for at in range(len(labels))],
                    stamp,
                ),
            }
        )
        tables.append("shop/all/feedback", rows)

    def report(self, rows: pd.DataFrame) -> None:
        """The source tells outcomes in the rows themselves."""
        tables, name = self.shop.context.bench.tables, self.shop.context.table("validated_data")
        table = pa.Table.from_pandas(rows, preserve_index=False)
        batch = int(tables.latest(name).state["batch"]) + 1
        table = table.append_column("_batch", pa.array([batch] * len(rows), pa.int64()))
        latest = tables.upsert(name, table, key=["id"], state={"batch": str(batch)})
        self.validated = replace(self.validated, table=latest.ref, data_version=latest.ref.digest)

    def look(self, spec: MonitorSpec = SPEC):
        validated = replace(self.validated, newest=START + WEEK * self.weeks)
        return self.shop.look(validated, spec, labels=self.join)

    def finding(self, signal: str = "performance"):
        return self.shop.findings(signal)[-1]

    def history(self, metric: str = "log_loss", kind: str = "labelled") -> list[dict]:
        rows = self.shop.context.bench.tables.read("shop/all/performance").to_pylist()
        return [
            one for one in rows if (one["metric"], one["kind"], one["slice"]) == (metric, kind, "")
        ]


def _float(value: object) -> float | None:
    return None if value is None else float(value)


@pytest.fixture
def outcomes(shop):
    return Outcomes(shop)


def checks_of(record):
    return {check.name: check for check in record.checks}


def labels_for(rows, *, flipped=0.0, prefix="1-batch-", day="2013-02-12"):
    truth = truth_of(rows, flipped=flipped)
    return [(f"{prefix}{one}", int(late), day) for one, late in zip(rows["id"], truth, strict=True)]


def test_a_label_whose_time_has_not_come_by_the_clock_is_not_known_yet(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.declare(*labels_for(rows, day="2013-02-12"))
    outcomes.look()
    assert outcomes.finding().rows == 0
    outcomes.shop.at(START + WEEK * 5 + timedelta(days=2))
    outcomes.look()
    assert outcomes.finding().rows == 600


def test_TE4_a_metric_shows_value_coverage_and_as_of_and_corrects_itself_when_labels_come(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    labels = labels_for(rows)
    outcomes.shop.at(START + WEEK * 6)
    outcomes.declare(*labels[:300])
    record = outcomes.look()
    first = outcomes.finding()
    assert (first.rows, first.outcome) == (300, Outcome.PASSED)
    assert "300 labels (50% of 600 answers) as of 2013-02-18 00:00 UTC" in first.because
    assert "| 50% | 2013-02-18 00:00 |" in record.shown["performance"].value
    outcomes.shop.at(START + WEEK * 6 + timedelta(days=2))
    outcomes.declare(*labels[300:])
    record = outcomes.look()
    second = outcomes.finding()
    assert second.rows == 600
    assert second.value != first.value
    assert "600 labels (100% of 600 answers) as of 2013-02-20 00:00 UTC" in second.because
    assert "| 100% | 2013-02-20 00:00 |" in record.shown["performance"].value
    [kept] = outcomes.history()
    assert (kept["labels"], kept["coverage"]) == (600, 1.0)


def test_a_look_that_finds_the_same_labels_writes_nothing_and_says_the_same(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.shop.at(START + WEEK * 6)
    outcomes.declare(*labels_for(rows, flipped=0.5))
    first = checks_of(outcomes.look())["performance"]
    version = outcomes.shop.context.bench.tables.latest("shop/all/performance").ref.version
    found = len(outcomes.shop.findings("performance"))
    again = checks_of(outcomes.look())["performance"]
    assert again == first
    assert first.outcome is Outcome.REFUSED
    assert outcomes.shop.context.bench.tables.latest("shop/all/performance").ref.version == version
    assert len(outcomes.shop.findings("performance")) == found


def test_new_labels_are_other_work(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    before = state_of(outcomes.shop.context, SPEC, outcomes.validated)
    outcomes.declare(*labels_for(rows)[:1])
    after = state_of(outcomes.shop.context, SPEC, outcomes.validated)
    assert before != after


def test_fewer_labels_than_needed_is_said_and_is_no_pass(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.shop.at(START + WEEK * 6)
    outcomes.declare(*labels_for(rows, flipped=0.5)[:199])
    check = checks_of(outcomes.look())["performance"]
    assert check.outcome is Outcome.NOT_APPLICABLE
    assert "fewer than the 200 labels needed; 199 labels (33% of 600 answers)" in check.because


def test_a_loss_over_the_bootstrap_of_the_holdout_is_a_finding(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.shop.at(START + WEEK * 6)
    outcomes.declare(*labels_for(rows, flipped=0.5))
    check = checks_of(outcomes.look())["performance"]
    assert check.outcome is Outcome.REFUSED
    found = outcomes.finding()
    assert found.limit < found.value
    assert "by the bootstrap of 6,000 held-out rows" in found.because
    assert "600 stored predictions" in found.because
    assert "fewer than 20 windows" in found.because


def test_rows_that_come_with_their_labels_are_answered_by_the_champion(outcomes):
    rows = week_of_rows(4)
    rows["late"] = pd.array(truth_of(rows), dtype="Int64")
    outcomes.begin(rows)
    check = checks_of(outcomes.look())["performance"]
    assert check.outcome is Outcome.PASSED
    assert "the champion's answers to rows that came with their labels" in check.because


def test_outcomes_told_by_the_rows_themselves_are_joined_by_key(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.look()
    rows["late"] = pd.array(truth_of(rows), dtype="Int64")
    outcomes.report(rows)
    outcomes.look()
    assert outcomes.finding().rows == 600
    assert "600 stored predictions" in outcomes.finding().because


def test_another_versions_answers_are_measured_and_not_judged(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.answer(rows, version="0")
    outcomes.shop.at(START + WEEK * 6)
    outcomes.declare(*labels_for(rows, prefix="0-batch-", flipped=0.5))
    outcomes.look()
    rows = outcomes.shop.context.bench.tables.read("shop/all/performance").to_pylist()
    others = [one for one in rows if one["model_version"] == "0" and one["metric"] == "log_loss"]
    assert {(one["slice"], one["kind"]) for one in others} == {
        ("", "labelled"),
        *((f"origin={name}", "labelled") for name in ("EWR", "JFK", "LGA")),
    }
    assert sum(one["labels"] for one in others) == 1_200
    assert outcomes.finding().outcome is Outcome.NOT_APPLICABLE


def test_TE5_before_labels_an_estimate_with_its_interval_is_shown(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    record = outcomes.look()
    found = outcomes.finding("estimated_performance")
    assert found.outcome is Outcome.PASSED
    assert "roc_auc 0." in found.because
    assert " to 0." in found.because
    assert "concept drift is invisible to it" in found.because
    assert "concept drift is invisible to it" in record.shown["performance"].value
    [kept] = outcomes.history("roc_auc", "estimated")
    assert kept["low"] < kept["value"] < kept["high"]


def test_TE12_a_slice_that_falls_while_the_whole_is_flat_is_its_own_finding(outcomes):
    rows = week_of_rows(4, rows=6_000)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.shop.at(START + WEEK * 6)
    truth = truth_of(rows)
    wrong = (rows["origin"] == "JFK").to_numpy() & (np.arange(6_000) % 6 == 0)
    # What JFK loses the others gain: the whole is as it was.
    sure = (rows["origin"] != "JFK").to_numpy() & (np.arange(6_000) % 4 == 0)
    truth = np.where(wrong, 1 - truth, np.where(sure, rows["delay"] > 0, truth)).astype(int)
    outcomes.declare(
        *(
            (f"1-batch-{one}", late, "2013-02-12")
            for one, late in zip(rows["id"], truth, strict=True)
        )
    )
    checks = checks_of(outcomes.look())
    assert checks["performance"].outcome is Outcome.PASSED
    assert checks["slice_performance"].outcome is Outcome.REFUSED
    refused = [
        one for one in outcomes.shop.findings("slice_performance") if one.outcome is Outcome.REFUSED
    ]
    assert [one.subject for one in refused] == ["log_loss: origin=JFK"]
    assert "over 3 slices together" in refused[0].because
    assert "worse while the whole is flat" in refused[0].because


def test_a_slice_with_too_few_labels_is_named(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.shop.at(START + WEEK * 6)
    outcomes.declare(*labels_for(rows)[:400])
    check = checks_of(outcomes.look())["slice_performance"]
    assert check.outcome is Outcome.NOT_APPLICABLE
    assert "3 slice(s) not applicable (origin=EWR, origin=JFK, origin=LGA)" in check.because


def test_a_champion_that_carries_no_losses_says_the_way_out(outcomes):
    rows = week_of_rows(4)
    outcomes.begin(rows)
    (outcomes.shop.folder / "1" / "answers.json").unlink()
    outcomes.answer(rows)
    outcomes.shop.at(START + WEEK * 6)
    outcomes.declare(*labels_for(rows))
    check = checks_of(outcomes.look())["performance"]
    assert check.outcome is Outcome.NOT_APPLICABLE
    assert "carries no losses of its holdout; train and register it" in check.because


def test_GO9_a_fall_is_explained_by_slices_and_features_in_the_finding_and_as_a_table(outcomes):
    rows = week_of_rows(4, rows=3_000)
    outcomes.begin(rows)
    outcomes.answer(rows)
    outcomes.shop.at(START + WEEK * 6)
    truth = truth_of(rows)
    truth = np.where(rows["origin"] == "JFK", 1 - truth, truth)
    outcomes.declare(
        *(
            (f"1-batch-{one}", late, "2013-02-12")
            for one, late in zip(rows["id"], truth, strict=True)
        )
    )
    record = outcomes.look()
    assert "Explained most by origin: JFK: 0." in outcomes.finding().because
    table = record.shown["explanation"].value
    assert "| slice | origin |" in table
    assert "| feature | delay |" in table
    assert table.index("| origin |") < table.index("| delay |")


def test_TE12_answers_of_one_slice_that_drift_while_the_rest_does_not_are_a_finding(outcomes):
    rows = week_of_rows(4, rows=3_000)
    rows.loc[rows["origin"] == "LGA", "delay"] += 0.8
    outcomes.begin(rows)
    outcomes.answer(rows)
    check = checks_of(outcomes.look())["slice_drift"]
    assert check.outcome is Outcome.REFUSED
    found = {one.subject: one for one in outcomes.shop.findings("slice_drift")}
    assert found["origin=LGA: probability"].outcome is Outcome.REFUSED
    assert found["origin=JFK: probability"].outcome is Outcome.PASSED
    assert "3 slices together" in found["origin=LGA: probability"].because


class Longer:
    """An estimator by formula: the delay, half an hour too long."""

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        return features["delay"].fillna(0).to_numpy() + 0.5


def test_TE4_numbers_are_judged_by_their_absolute_error(open_shop):
    shop = open_shop(task=Task.REGRESSION)

    def model(version: str):
        own = type(shop).model(shop, version)
        own.artifact.task, own.artifact.labels, own.artifact.pipeline = "regression", [], Longer()
        return own

    shop.model = model
    weeks = [week_of_rows(number) for number in range(6)]
    for number, rows in enumerate(weeks):
        rows["late"] = rows["delay"] + (0.0 if number < 5 else 1.5)
    validated = shop.arrive(*weeks)
    shop.crown("1", *weeks[:4])
    rows = weeks[3]
    answer = model("1").predict(rows)
    reference = answer_reference(
        Task.REGRESSION,
        Scored(
            y_true=rows["late"].to_numpy() + np.tile([-0.1, 0.1], 300),
            y_pred=answer["prediction"].to_numpy(),
            probability=None,
            labels=(),
        ),
        metrics={},
        slices=rows[["origin"]],
        features=model("1").features(rows),
    )
    write_answers(shop.folder / "1", reference)
    shop.at(START + WEEK * 6)
    spec = MonitorSpec(performance=PerformanceSpec(window=WEEK, metrics=("mae", "r2")))
    shop.look(replace(validated, newest=START + WEEK * 6), spec)
    quiet, fallen = shop.findings("performance")
    assert (quiet.subject, quiet.outcome) == ("mae", Outcome.PASSED)
    assert quiet.value == pytest.approx(0.5)
    assert (fallen.outcome, fallen.value) == (Outcome.REFUSED, pytest.approx(1.0))
    assert shop.findings("estimated_performance") == []
