"""A candidate is judged on rows that it has not seen, beside others that answer the same rows."""

import base64
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from mlops_dagster.declaration import ModelIdentity, Task
from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.evaluate.assets import build_stage
from mlops_dagster.evaluate.run import run as evaluate
from mlops_dagster.evaluate.run import training_rows
from mlops_dagster.evaluate.spec import EvaluateSpec
from mlops_dagster.records import Outcome
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.scoring.loader import open_trained
from mlops_dagster.stores.mlflow_home import open_client
from tests.evaluate.conftest import BAD, MODEL

CHAMPION_GATE = {"kind": "beats_champion", "metric": "log_loss"}


def client_of(bench):
    return open_client(bench.mlflow_address, bench.operations)


def runs_of(bench):
    client = client_of(bench)
    experiment = client.get_experiment_by_name(MODEL.registered_name)
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])


def test_CI3_a_candidate_worse_than_the_champion_is_refused_and_names_metric_slice_and_margin(
    court, parcels, refused
):
    champion, _ = court.train(parcels, "run-1")
    assert court.crown(champion) == "1"
    gates = [
        CHAMPION_GATE,
        {
            "kind": "threshold",
            "metric": "log_loss",
            "at_most": 0.6,
            "slice": "kind",
            "minimum_rows": 20,
        },
    ]
    record = court.judge(parcels, "run-2", spec={"gates": gates}, **BAD)
    said = refused(record)
    assert record.outcome is Outcome.REFUSED
    assert re.fullmatch(
        r"log_loss 0\.69\d\d against the champion's 0\.[45]\d\d\d \(version 1\): worse by 0\.[12]\d\d\d, "
        r"allowed 0\.0000\.",
        said["beats_champion_log_loss"],
    )
    assert re.match(
        r"kind=a \(n = \d+\): log_loss 0\.69\d\d: at most 0\.6000 needed, over by 0\.0",
        said["threshold_log_loss_by_kind"],
    )
    assert record.because == " ".join(said.values())
    assert record.champion_version == "1"
    assert record.champion_metrics["log_loss"] < record.metrics["log_loss"]


def test_DE2_every_model_is_compared_with_a_dummy_and_a_simple_model(court, parcels):
    record = court.judge(parcels, spec={"metrics": ["log_loss", "roc_auc"]})
    [run] = runs_of(court.bench)
    for who in ("", "dummy.", "simple."):
        assert {f"{who}log_loss", f"{who}roc_auc"} <= run.data.metrics.keys()
    assert run.data.metrics["dummy.roc_auc"] == 0.5
    assert run.data.metrics["log_loss"] < run.data.metrics["dummy.log_loss"]
    table = record.shown["comparison"].value
    assert table.startswith("| metric | candidate | champion | linear | dummy |")
    assert f"| log_loss | {record.metrics['log_loss']:.4f} | - |" in table
    assert record.outcome is Outcome.PASSED
    assert record.because.startswith("All 1 judged gates passed. Not judged: beats_champion")


def test_ET2_two_runs_are_compared_by_parameters_and_metrics(court, parcels):
    court.judge(parcels, "run-1")
    court.judge(parcels, "run-2", **BAD)
    client = client_of(court.bench)
    experiment = client.get_experiment_by_name(MODEL.registered_name)
    better, worse = client.search_runs(
        [experiment.experiment_id], order_by=["metrics.log_loss ASC"]
    )
    assert "C" not in better.data.params
    assert worse.data.params["C"] == "1e-06"
    assert better.data.metrics["log_loss"] < worse.data.metrics["log_loss"]
    assert better.data.params["estimator"] == worse.data.params["estimator"]
    found = client.search_runs([experiment.experiment_id], "metrics.log_loss > 0.6")
    assert [one.info.run_id for one in found] == [worse.info.run_id]


def test_a_first_model_passes_though_there_is_no_champion(court, parcels):
    gates = [CHAMPION_GATE, {"kind": "beats_dummy", "metric": "log_loss"}]
    record = court.judge(parcels, spec={"gates": gates})
    outcomes = {one.name: one.outcome for one in record.checks}
    assert outcomes == {
        "beats_champion_log_loss": Outcome.NOT_APPLICABLE,
        "beats_dummy_log_loss": Outcome.PASSED,
    }
    assert record.outcome is Outcome.PASSED
    assert record.because.startswith("All 1 judged gates passed. Not judged: beats_champion")
    assert record.champion_version is None


def test_the_champion_itself_is_not_worse_than_the_champion(court, parcels):
    trained, features = court.train(parcels)
    court.crown(trained)
    spec = EvaluateSpec.model_validate({"gates": [CHAMPION_GATE]})
    record = evaluate(court.step("run-2"), spec, trained, features)
    assert record.checks[0].outcome is Outcome.PASSED
    assert "equal, allowed 0.0000" in record.checks[0].because
    assert record.metrics == record.champion_metrics


def test_a_champion_whose_files_changed_is_no_pass(court, parcels):
    champion, _ = court.train(parcels)
    court.crown(champion, **{"mlops_dagster.artifact_sha256": "0" * 64})
    record = court.judge(parcels, "run-2", spec={"gates": [CHAMPION_GATE]})
    [check] = record.checks
    assert check.outcome is Outcome.REFUSED
    assert "The champion (version 1) cannot score these rows: parcels version 1" in check.because
    assert "SHA-256" in check.because
    assert record.champion_metrics == {}


@pytest.mark.parametrize(
    ("gates", "outcome"),
    [([CHAMPION_GATE], "passed"), ([CHAMPION_GATE, {**CHAMPION_GATE, "kind": "beats_dummy"}], "passed"),
     ([CHAMPION_GATE, {"kind": "threshold", "metric": "roc_auc", "at_least": 1}], "refused")],
)  # fmt: skip
def test_where_the_champions_files_are_gone_the_other_gates_decide(gates, outcome, court, parcels):
    champion, _ = court.train(parcels)
    court.crown(champion)
    shutil.rmtree(court.bench.tracking.download(champion.model_uri))
    record = court.judge(parcels, "run-2", spec={"gates": gates})
    assert record.outcome == outcome
    assert record.champion_gone
    assert record.checks[0].outcome is Outcome.NOT_APPLICABLE
    assert record.checks[0].because == (
        "The files of the champion (version 1) are gone, so what still serves it cannot be started "
        "again, and there is nothing to compare with."
    )


def test_a_champion_that_cannot_read_todays_rows_is_no_pass(court, parcels):
    champion, _ = court.train(parcels)
    court.crown(champion)
    words = parcels.assign(size=parcels["size"].map("{:.1f} kg".format))
    record = court.judge(words, "run-2", spec={"gates": [CHAMPION_GATE]})
    [check] = record.checks
    assert check.outcome is Outcome.REFUSED
    assert "cannot score these rows" in check.because


def test_a_champion_is_told_which_of_its_inputs_are_gone(court, parcels):
    champion, _ = court.train(parcels)
    court.crown(champion)
    record = court.judge(
        parcels.drop(columns="shop"), "run-2", spec={"gates": [CHAMPION_GATE | {"tolerance": 1}]}
    )
    [check] = record.checks
    assert check.outcome is Outcome.PASSED
    assert check.because.endswith("It was given null for what the rows lack: shop.")


def test_a_champion_of_other_classes_is_no_pass(court, parcels):
    champion, _ = court.train(parcels)
    court.crown(champion)
    words = parcels.assign(late=parcels["late"].map({0.0: "no", 1.0: "yes"}))
    record = court.judge(words, "run-2", spec={"gates": [CHAMPION_GATE]})
    [check] = record.checks
    assert check.outcome is Outcome.REFUSED
    assert "knows the classes [0.0, 1.0], the candidate ['no', 'yes']" in check.because


GRADES = MODEL.model_copy(update={"task": Task.MULTICLASS})
METRICS = ["accuracy", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc"]
BETTER = {
    "metrics": METRICS,
    "gates": [{"kind": "beats_champion", "metric": one} for one in METRICS],
}


def graded(parcels, words):
    """Grades by size, the largest sizes the last."""
    grade = pd.qcut(parcels["size"], len(words), labels=list(words)).astype(str)
    return parcels.assign(late=grade)


def test_a_class_that_the_champion_does_not_know_is_one_that_it_never_says(court, parcels):
    champion, _ = court.train(graded(parcels, "ABC"), model=GRADES)
    court.crown(champion)
    record = court.judge(graded(parcels, "ABCD"), "run-2", GRADES, spec=BETTER)
    assert record.outcome is Outcome.PASSED
    for check in record.checks:
        assert check.because.endswith(
            "does not know the class 'D', to which it gives probability 0."
        )
    assert record.champion_metrics["log_loss"] > 5
    assert set(record.champion_metrics) == set(METRICS)


@pytest.mark.parametrize("left", ["ABC", "AB"])
def test_what_a_champion_says_of_a_class_that_is_gone_counts_as_wrong(left, court, parcels):
    rows = graded(parcels, "ABCD")
    champion, _ = court.train(rows, model=GRADES)
    court.crown(champion)
    record = court.judge(rows[rows["late"].isin([*left])], "run-2", GRADES, spec=BETTER)
    assert set(record.champion_metrics) == set(METRICS)
    for check in record.checks:
        assert "The candidate does not know the class " in check.because
    trusted = own_log_loss(court, champion)
    assert record.champion_metrics["log_loss"] == pytest.approx(trusted)


def own_log_loss(court, champion):
    """The champion's log loss on the rows held out last, by its own probabilities as they are."""
    latest = court.bench.tables.latest("parcels/all/holdout").ref
    holdout = FeatureRows.read(court.bench.tables, latest)
    model = open_trained(
        court.bench.tracking.download(champion.model_uri), sha256=champion.artifact_sha256
    )
    said = model.predict(holdout.inputs(model.inputs))
    truth = holdout.column("late")
    given = [said[f"probability_{label}"].iloc[at] for at, label in enumerate(truth)]
    return float(-np.log(given).mean())


def test_a_slice_that_only_a_gate_names_is_judged(court, parcels):
    gate = {"kind": "threshold", "metric": "roc_auc", "at_least": 0.5, "slice": "shop"}
    record = court.judge(parcels, spec={"gates": [gate]})
    [check] = record.checks
    assert check.outcome is Outcome.PASSED
    assert check.because.startswith("All 4 of 4 values of shop")
    assert "| shop=1 |" in record.shown["slices"].value


def test_every_value_with_enough_rows_is_judged_and_the_largest_are_shown(court, parcels):
    rows = pd.concat([parcels.assign(id=parcels["id"] + 600 * n) for n in range(6)])
    chance = np.random.default_rng(3)
    ward = chance.permutation(np.arange(len(rows)) % 36)
    wrong = rows["late"].where(ward != 30, 1 - rows["late"])
    rows = rows.assign(ward=[f"w{n}" for n in ward], late=wrong)
    gate = {"kind": "threshold", "metric": "roc_auc", "at_least": 0.5, "slice": "ward"}
    record = court.judge(rows, spec={"gates": [gate | {"minimum_rows": 2}]})
    [check] = record.checks
    assert check.outcome is Outcome.REFUSED
    assert re.match(r"ward=w30 \(n = \d+\): roc_auc 0\.", check.because)
    assert record.shown["slices"].value.count("| ward=") == 20


def test_a_candidate_whose_files_changed_is_not_unpickled(court, parcels):
    trained, features = court.train(parcels)
    folder = court.bench.tracking.download(trained.model_uri)
    with (folder / "python_model.pkl").open("ab") as file:
        file.write(b"x")
    with pytest.raises(StoreError, match=r"have SHA-256 .* They are not loaded"):
        evaluate(court.step("run-2"), EvaluateSpec(), trained, features)


def test_a_slice_column_that_is_not_there_names_the_nearest(court, parcels):
    with pytest.raises(
        DataNotFitError, match=r"evaluate.slices: 'shops' is missing. Did you mean 'shop'"
    ):
        court.judge(parcels, spec={"slices": ["shops"]})


def test_slices_are_logged_whatever_letters_their_values_have(court, parcels):
    record = court.judge(parcels, spec={"slices": ["kind"], "metrics": ["log_loss"]})
    [run] = runs_of(court.bench)
    assert {"log_loss.kind.a", "log_loss.kind.b", "log_loss.kind.a__x_"} <= run.data.metrics.keys()
    assert "| kind=a/$x$ |" in record.shown["slices"].value


def test_metrics_and_pictures_are_with_the_run_and_the_model(court, parcels):
    record = court.judge(parcels, spec={"slices": ["kind"], "metrics": ["log_loss"]})
    client = client_of(court.bench)
    pictures = {one.path for one in client.list_artifacts(record.mlflow_run_id, "pictures")}
    assert pictures == {
        f"pictures/{name}.png"
        for name in (
            "roc",
            "precision_recall",
            "calibration",
            "confusion",
            "slices",
            "importance",
        )
    }
    of_model = client.get_logged_model(record.model_id).metrics
    assert "log_loss" in {one.key for one in of_model}
    picture = record.shown["pictures"].value
    assert len(picture) < 90_000
    content = base64.b64decode(picture.partition("base64,")[2].rstrip(")"))
    assert content.startswith(b"\x89PNG")


def test_judging_again_later_is_shown_with_its_own_run(court, parcels):
    trained, features = court.train(parcels, "run-1")
    record = evaluate(court.step("run-2"), EvaluateSpec(), trained, features)
    first, second = runs_of(court.bench)
    assert record.mlflow_run_id == first.info.run_id
    assert second.info.run_id in record.shown["mlflow run"].value
    assert "log_loss" in second.data.metrics
    assert second.info.status == "FINISHED"


def test_a_number_is_judged_with_its_own_metrics_and_pictures(court, parcels):
    model = ModelIdentity(name="parcels", task=Task.REGRESSION, target="weight", key=("id",))
    rows = parcels.drop(columns="late").assign(weight=parcels["size"] * 3 + parcels["shop"])
    gates = [
        {"kind": "beats_dummy", "metric": "rmse", "margin": 1},
        {"kind": "threshold", "metric": "r2", "at_least": 0.9},
    ]
    record = court.judge(rows, model=model, estimator="sklearn.linear_model.Ridge", spec={"gates": gates})  # fmt: skip
    assert record.outcome is Outcome.PASSED
    pictures = client_of(court.bench).list_artifacts(record.mlflow_run_id, "pictures")
    names = {one.path.rpartition("/")[2] for one in pictures}
    assert {"residuals.png", "predicted_and_true.png", "importance.png"} <= names


def test_three_classes_one_of_them_rare_are_judged(court, parcels):
    model = ModelIdentity(name="parcels", task=Task.MULTICLASS, target="grade", key=("id",))
    size = parcels["size"].to_numpy()
    grade = np.select([size > 1.8, size > 0], ["rare", "large"], "small")
    rows = parcels.drop(columns="late").assign(grade=grade)
    gates = [{"kind": "beats_dummy", "metric": "log_loss"}]
    record = court.judge(rows, model=model, spec={"gates": gates, "slices": ["shop"]})
    assert record.outcome is Outcome.PASSED
    assert all(math.isfinite(value) for value in record.metrics.values())


def test_baselines_learn_from_every_class_of_many_rows():
    from mlops_dagster.evaluate.scoring import some_rows

    target = pd.Series(np.r_[np.zeros(50_000), np.ones(3), np.full(9_997, 2.0)])
    few = some_rows(target, classifies=True)
    shares = target.iloc[few].value_counts(normalize=True)
    assert len(few) <= 20_000 + 3
    assert shares[1.0] > 0
    assert shares[0.0] == pytest.approx(5 / 6, abs=0.01)
    assert len(some_rows(target, classifies=False)) <= 20_000
    assert list(some_rows(target.head(100), classifies=True)) == list(range(100))


def test_the_feature_that_matters_is_the_most_important(court, parcels):
    from mlops_dagster.evaluate.importance import importances

    trained, _ = court.train(parcels)
    from mlops_dagster.scoring.loader import open_model

    artifact = open_model(court.bench.tracking.download(trained.model_uri)).artifact
    features = parcels[artifact.columns]
    told = importances(
        artifact, features, parcels["late"].to_numpy(), metric="log_loss", labels=[0.0, 1.0]
    )
    assert max(told, key=told.__getitem__) == "size"
    assert abs(told["shop"]) < 0.05 < told["size"]


def test_an_evaluation_is_done_again_when_the_champion_or_a_gate_changed(court, parcels):
    trained, features = court.train(parcels)
    stage = build_stage(MODEL, EvaluateSpec())
    step = court.step("run-1")
    before = stage.identify(step, trained, features)
    assert before == stage.identify(step, trained, features)
    court.crown(trained)
    assert stage.identify(step, trained, features) != before
    other = build_stage(MODEL, EvaluateSpec.model_validate({"gates": [CHAMPION_GATE]}))
    assert other.settings != stage.settings
    assert [(one.name, one.blocking) for one in other.checks] == [
        ("beats_champion_log_loss", False)
    ]
    records = [
        evaluate(step, EvaluateSpec.model_validate({"gates": gates}), trained, features)
        for gates in ([], [], [CHAMPION_GATE])
    ]
    assert records[0].because.startswith("No gates are declared")
    versions = [one.data_version for one in records]
    assert versions[0] == versions[1] != versions[2]


def test_rows_without_a_key_are_judged_too(court, parcels):
    model = MODEL.model_copy(update={"key": ()})
    rows = parcels.drop(columns="id")
    gates = [{"kind": "beats_dummy", "metric": "log_loss"}]
    record = court.judge(rows, model=model, spec={"gates": gates})
    assert record.outcome is Outcome.PASSED


def test_baselines_do_not_learn_from_the_holdout_whatever_its_nulls(court, parcels):
    model = MODEL.model_copy(update={"key": (), "event_time": "seen"})
    days = pd.date_range("2026-01-01", periods=len(parcels), freq="h", tz="UTC")
    rows = parcels.drop(columns="id").assign(seen=days, shop=parcels["shop"].astype("Int64"))
    rows.loc[:300, "shop"] = None
    trained, features = court.train(rows, model=model)
    step = court.step("run-2", model)
    holdout = FeatureRows.read(court.bench.tables, trained.holdout)
    assert holdout.table["shop"].null_count == 0
    learned = training_rows(step, trained, features, holdout)
    assert learned.table.num_rows == trained.rows == 600 - trained.holdout.rows


def test_baselines_learn_from_the_candidates_training_window(court, parcels):
    model = MODEL.model_copy(update={"event_time": "seen"})
    days = pd.date_range("2026-01-01", periods=len(parcels), freq="h", tz="UTC")
    split = {"kind": "time", "holdout": "2d"}
    trained, features = court.train(
        parcels.assign(seen=days), model=model, split=split, window="5d"
    )
    holdout = FeatureRows.read(court.bench.tables, trained.holdout)
    learned = training_rows(court.step("run-2", model), trained, features, holdout)
    assert trained.rows == learned.table.num_rows == 5 * 24
    assert set(learned.table["id"].to_pylist()) == set(range(600 - 48 - 120, 600 - 48))


def test_an_infinite_feature_is_missing_to_the_linear_model(court, parcels):
    rows = parcels.assign(
        ratio=parcels["size"] / (parcels["shop"] - 1), far=parcels["size"] * 1e300
    )
    record = court.judge(
        rows,
        estimator="sklearn.ensemble.HistGradientBoostingClassifier",
        parameters={"max_iter": 10},
        spec={"metrics": ["log_loss"], "gates": [{"kind": "beats_dummy", "metric": "log_loss"}]},
    )
    [run] = runs_of(court.bench)
    assert run.data.metrics["simple.log_loss"] < run.data.metrics["dummy.log_loss"]
    assert record.outcome is Outcome.PASSED
