import json
import subprocess

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.declaration import Task
from mlops_dagster.errors import DataNotFitError, SpecError
from mlops_dagster.profiles.reference import read_reference
from mlops_dagster.records import Outcome
from mlops_dagster.scoring.digest import artifact_sha256
from mlops_dagster.scoring.feature_rows import FeatureRows
from mlops_dagster.scoring.inputs import as_given
from mlops_dagster.scoring.loader import open_model
from mlops_dagster.scoring.questions import schema_of
from mlops_dagster.stores.mlflow_tracking import MlflowTracking
from mlops_dagster.stores.tracking import tracked
from mlops_dagster.train.assets import build_stage
from mlops_dagster.train.provenance import Provenance, provenance_of
from mlops_dagster.train.spec import TrainSpec
from tests.train.conftest import Shop

BOOSTED = "sklearn.ensemble.HistGradientBoostingClassifier"
LINEAR = "sklearn.linear_model.LogisticRegression"
EMPTY = ["id", "seen", "size", "shop", "late"]


def client_of(bench):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=bench.tracking.address)


def opened(bench, record):
    return open_model(bench.tracking.download(record.model_uri))


def test_ET1_parameters_metrics_model_and_dataset_digest_appear_without_user_code(
    shop, learn, parcels
):
    record = learn(parcels, seed=7)
    run = client_of(shop.bench).get_run(record.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["estimator"] == BOOSTED
    assert run.data.params["max_iter"] == "5"
    assert run.data.params["seed"] == "7"
    assert run.data.params["feature_functions"] == shop.functions[0]
    assert {"holdout.roc_auc", "holdout.log_loss", "rows.train"} <= set(run.data.metrics)
    assert run.data.tags["dagster.url"] == "http://127.0.0.1:3000/runs/run1"
    assert run.data.tags["mlops_dagster.asset"] == "parcels/all/trained_model"
    datasets = {one.tags[0].value: one for one in run.inputs.dataset_inputs}
    told = {use: {tag.key: tag.value for tag in one.tags} for use, one in datasets.items()}
    assert told["train"]["mlops_dagster.data_version"] == record.features.digest
    assert told["holdout"]["mlops_dagster.data_version"] == record.holdout.digest
    assert record.shown["mlflow run"].kind == "url"
    assert record.shown["training rows"].value + record.shown["holdout rows"].value == 400


def test_the_model_carries_signature_example_requirements_and_profile(shop, learn, parcels):
    record = learn(parcels)
    folder = shop.bench.tracking.download(record.model_uri)
    model = opened(shop.bench, record)
    signature = model.loaded.metadata.signature
    types = {one.name: str(one.type) for one in signature.inputs.inputs}
    assert types["shop"] == types["size"] == "Any"
    assert [one.name for one in signature.inputs.inputs if not one.required] == ["id"]
    assert "late" not in types
    assert "scikit-learn==" in (folder / "requirements.txt").read_text()
    assert artifact_sha256(folder) == record.artifact_sha256
    model.check_example()
    profile = read_reference(folder)
    assert set(profile.features.columns) == set(model.columns)
    assert profile.windows >= 10
    assert profile.through == 3
    assert profile.predictions.rows == record.holdout.rows
    assert list(profile.predictions.columns) == ["probability"]


def test_TE2_the_profile_knows_how_answers_differ_from_window_to_window(shop, learn, parcels):
    record = learn(parcels, split={"kind": "random", "holdout": 0.3})
    profile = read_reference(shop.bench.tracking.download(record.model_uri))
    days = parcels["seen"].dt.floor("D")
    week = (days - days.min()).dt.days // 7
    complete = week[week < week.max()].value_counts().sort_index()
    assert [one.rows for one in profile.predictions.windows] == complete.tolist()
    assert len(complete) >= 13


def test_the_model_answers_raw_rows_as_it_does_the_rows_it_was_judged_on(shop, learn, parcels):
    record = learn(parcels)
    model = opened(shop.bench, record)
    rows = FeatureRows.read(shop.bench.tables, record.holdout)
    of_features = model.artifact.score(rows.features())
    raw = as_given(rows.table.select(model.inputs))
    pd.testing.assert_frame_equal(model.predict(raw), of_features)
    one_by_one = [model.predict(raw.iloc[[at]])["probability"].iloc[0] for at in range(20)]
    np.testing.assert_allclose(one_by_one, of_features["probability"].head(20))


def test_the_same_seed_gives_the_same_model_twice(shop, parcels):
    made = shop.features(shop.step(), parcels)
    spec = {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "parameters": {"n_estimators": 10},
        "split": {"kind": "random"},
    }
    first, again, other = (
        shop.train(shop.step(run_id=run), made, seed=seed, **spec)
        for run, seed in (("run1", 3), ("run2", 3), ("run3", 4))
    )
    rows = as_given(shop.bench.tables.read(made.table.name))
    answers = [
        opened(shop.bench, one).artifact.predict(None, rows) for one in (first, again, other)
    ]
    pd.testing.assert_frame_equal(answers[0], answers[1])
    assert not answers[0].equals(answers[2])
    assert first.data_version == again.data_version != other.data_version
    assert first.holdout == again.holdout
    assert first.holdout.digest != other.holdout.digest


def test_PR1_split_is_time_and_group_aware_and_reports_leaks(shop, learn, parcels):
    record = learn(parcels, split={"kind": "time", "holdout": "14d"})
    holdout = shop.bench.tables.read(record.holdout.name, version=record.holdout.version)
    assert holdout.num_rows == 56
    assert min(holdout["id"].to_pylist()) == 400 - 56
    assert record.rows == 344
    [check] = record.checks
    assert (check.name, check.outcome) == ("no_row_in_both_splits", Outcome.PASSED)
    twice = parcels.assign(id=[n % 390 for n in range(400)])
    refused = learn(twice, split={"kind": "time", "holdout": "14d"})
    assert refused.outcome is Outcome.REFUSED
    assert refused.because.startswith("10 holdout rows have a value of id")
    grouped = learn(parcels, split={"kind": "group", "column": "shop", "holdout": 0.25})
    held = shop.bench.tables.read(grouped.holdout.name)["shop"].unique().to_pylist()
    trained_on = set(parcels["shop"]) - set(held)
    assert trained_on
    assert grouped.rows == parcels["shop"].isin(trained_on).sum()


@pytest.mark.parametrize(
    ("estimator", "parameters", "encode"),
    [
        (LINEAR, {"C": 0.5}, {}),
        (LINEAR, {}, {"categorical": "ordinal"}),
        ("sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 3}, {}),
        (BOOSTED, {"max_iter": 3}, {"categorical": "one_hot", "missing": "median"}),
        ("sklearn.naive_bayes.GaussianNB", {}, {}),
    ],
)
def test_any_estimator_gets_text_and_nulls_as_it_takes_them(
    shop, learn, parcels, estimator, parameters, encode
):
    record = learn(parcels, estimator=estimator, parameters=parameters, encode=encode)
    strange = parcels.head(3).assign(kind="never seen", size=None)
    table = pa.Table.from_pandas(strange.drop(columns="late"), preserve_index=False)
    answer = opened(shop.bench, record).predict(as_given(table))
    assert answer["probability"].between(0, 1).all()


def test_classes_and_numbers_are_predicted_too(shop, learn, parcels):
    named = parcels.assign(late=np.where(parcels["shop"] > 2, "far", parcels["kind"].fillna("c")))
    multi = learn(named, model={"task": Task.MULTICLASS})
    answer = opened(shop.bench, multi).artifact
    assert answer.labels == ["a", "b", "c", "far"]
    assert "holdout f1_macro" in multi.shown
    number = learn(
        parcels.assign(late=parcels["size"].fillna(0) * 3 + parcels["late"]),
        model={"task": Task.REGRESSION},
        estimator="sklearn.ensemble.HistGradientBoostingRegressor",
    )
    assert "holdout rmse" in number.shown


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"parameters": {"max_itr": 3}}, "train.parameters: 'max_itr'.*Did you mean 'max_iter'"),
        ({"estimator": BOOSTED + "x"}, "Did you mean 'HistGradientBoostingClassifier'"),
        ({"estimator": "sclearn.x.Y"}, "'sclearn.x' cannot be imported"),
        ({"estimator": "sklearn.ensemble.HistGradientBoostingRegressor"}, "predict_proba"),
    ],
)
def test_a_wrong_estimator_is_a_sentence_with_the_way_out(shop, learn, parcels, spec, said):
    with pytest.raises(SpecError, match=said):
        learn(parcels, **spec)
    assert not client_of(shop.bench).search_experiments(filter_string="name = 'parcels'")


def test_what_the_estimator_refuses_is_said(learn, parcels):
    with pytest.raises(DataNotFitError, match=r"GaussianNB cannot be fitted on 3\d\d rows"):
        learn(
            parcels,
            estimator="sklearn.naive_bayes.GaussianNB",
            parameters={},
            encode={"missing": "keep"},
        )


def test_a_retry_continues_its_run_and_a_killed_one_is_ended(shop, parcels):
    made = shop.features(shop.step(), parcels)
    dead = shop.bench.tracking.run_of(shop.step(run_id="killed").owner)
    first = shop.train(shop.step(run_id="run1"), made)
    retry = shop.train(shop.step(run_id="run2", root="run1"), made)
    assert retry.mlflow_run_id == first.mlflow_run_id
    client = client_of(shop.bench)
    assert client.get_run(dead).info.status == "KILLED"
    assert client.get_run(first.mlflow_run_id).info.status == "FINISHED"


def test_a_run_that_is_open_elsewhere_is_left_running(shop, parcels):
    made = shop.features(shop.step(), parcels)
    other = shop.step(run_id="elsewhere")
    with (
        shop.bench.operations.hold("run:parcels/all:elsewhere", holder="elsewhere"),
        tracked(shop.bench.tracking, other.owner) as run_id,
    ):
        shop.train(shop.step(), made)
        assert client_of(shop.bench).get_run(run_id).info.status == "RUNNING"


def test_the_commit_of_the_feature_code_is_kept(tmp_path):
    assert provenance_of(tmp_path) == Provenance()

    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "features.py").write_text("X = 1\n")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", "one")
    clean = provenance_of(tmp_path)
    assert len(clean.commit) == 40
    assert not clean.dirty
    (tmp_path / "features.py").write_text("X = 2\n")
    assert provenance_of(tmp_path) == Provenance(commit=clean.commit, dirty=True)


def test_without_git_it_is_said(learn, parcels):
    record = learn(parcels)
    assert (record.git_commit, record.git_dirty) == ("", False)
    assert record.shown["git commit"].value == "no git repository"


def test_a_training_window_decides_the_model_its_profile_and_its_reuse_and_is_told(
    shop, learn, parcels
):
    split = {"kind": "time", "holdout": "14d"}
    whole = learn(parcels, split=split)
    later = shop.step(run_id="run2")
    record = shop.train(later, shop.features(later, parcels), split=split, window="30d")
    assert (whole.rows, record.rows) == (344, 120)
    assert record.holdout == whole.holdout
    first = parcels["seen"][400 - 56 - 120]
    assert (whole.since, record.since) == (None, first.to_pydatetime())
    assert record.data_version != whole.data_version
    assert record.because.endswith("Learned from the newest 30d: 224 older rows were left out.")
    assert whole.shown["training window"].value == "all history"
    assert record.shown["training window"].value == f"the newest 30d, from {first:%Y-%m-%d} on"
    run = client_of(shop.bench).get_run(record.mlflow_run_id)
    assert (run.data.params["window"], run.data.metrics["rows.train"]) == ("30d", 120)
    profile = read_reference(shop.bench.tracking.download(record.model_uri))
    assert profile.rows == 120 + 56
    stages = [
        build_stage(
            shop.step().model,
            TrainSpec(estimator=BOOSTED, **window),
            functions=(),
            reference_window=pd.Timedelta(days=7),
        )
        for window in ({}, {"window": "30d"}, {"window": "60d"})
    ]
    assert "window" not in stages[0].settings["spec"]
    told = [json.dumps(one.settings) for one in stages]
    assert len(set(told)) == 3


def test_the_stage_is_identified_by_its_features(shop, parcels):
    made = shop.features(shop.step(), parcels)
    stage = build_stage(
        shop.step().model,
        TrainSpec(estimator=BOOSTED),
        functions=shop.functions,
        reference_window=pd.Timedelta(days=7),
    )
    told = stage.identify(shop.step(), made)
    assert json.dumps(told)
    assert made.data_version in told
    assert [check.name for check in stage.checks if check.blocking] == ["no_row_in_both_splits"]
    assert isinstance(shop.bench.tracking, MlflowTracking)


@pytest.mark.parametrize("estimator", [BOOSTED, LINEAR])
@pytest.mark.parametrize("kind", ["number", "text"])
def test_a_column_that_only_the_newest_rows_have_is_left_out_and_told(
    learn, parcels, shop, estimator, kind
):
    newest = parcels["seen"] > parcels["seen"].quantile(0.95)
    values = parcels["size"] if kind == "number" else parcels["kind"].fillna("a")
    parameters = {"max_iter": 50}
    record = learn(
        parcels.assign(extra=values.where(newest)), estimator=estimator, parameters=parameters
    )
    assert record.outcome is Outcome.PASSED
    assert "Left out, as no row learned from has a value: 'extra'." in record.because
    model = opened(shop.bench, record)
    assert schema_of(model).needed() == ["seen", "shop", "size", "kind"]
    rows = as_given(pa.Table.from_pandas(parcels.assign(extra=None), preserve_index=False))
    with_it = rows.assign(extra=1.0 if kind == "number" else "b")
    assert model.predict(rows).equals(model.predict(with_it))
    assert "Left out" not in learn(parcels, estimator=estimator, parameters=parameters).because


def test_features_without_a_value_to_learn_from_are_refused(shop, parcels):
    plain, context = Shop(bench=shop.bench, functions=()), shop.step()
    made = plain.features(context, parcels.assign(size=np.nan, shop=np.nan)[EMPTY])
    with pytest.raises(DataNotFitError, match="no feature has a value in the"):
        plain.train(context, made)
