"""A version is answered by ONNX only where that answers as the estimator does, and the check shows it."""

import logging
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression

from mlops_dagster.deploy.moves import champion_of
from mlops_dagster.deploy.run import run as deploy
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import MissingExtraError, StoreError
from mlops_dagster.records import ACCELERATOR_TAG, Outcome, Severity
from mlops_dagster.register.accelerator import closest
from mlops_dagster.register.assets import build_stage
from mlops_dagster.register.run import run
from mlops_dagster.scoring.accelerated import OnnxPipeline, accelerator_of, with_pipeline
from mlops_dagster.scoring.artifact import ModelArtifact, estimator_input
from mlops_dagster.scoring.loader import ScoringModel, load_verified
from mlops_dagster.serve.endpoint.live_model import load
from mlops_dagster.serve.parity import ENDPOINT, answer_every_way
from mlops_dagster.serve.spec import EndpointSpec
from mlops_dagster.stores.registry import CHALLENGER
from mlops_dagster.train.estimator import make_pipeline, texts_of
from mlops_dagster.train.spec import EncodeSpec
from tests.register.test_register import folder, refused, step, trained, verdict
from tests.scoring.models import MODEL

__all__ = ["folder", "trained", "verdict"]
TIGHT = 1e-6
SERVING = {
    "endpoint": EndpointSpec.model_validate(
        {"accelerator": {"kind": "onnx", "tolerance": TIGHT}}
    ).model_dump(mode="json")
}


def accelerated_version(bench, trained, verdict, *, within=TIGHT):
    record = run(step(bench), trained, verdict, promotion="automatic", onnx_within=within)
    [check] = [one for one in record.checks if one.name == "accelerator"]
    return record, check, bench.registry.by_alias("parcels", CHALLENGER)


def test_a_version_is_converted_compared_on_its_holdout_and_the_endpoint_uses_it(
    bench, trained, verdict, points
):
    _, check, version = accelerated_version(bench, trained, verdict)
    assert check.outcome is Outcome.PASSED
    assert "50 rows of the holdout in double precision as scikit-learn does" in check.because
    assert check.shown["largest difference"].value < 1e-12
    loaded = load(bench.registry, version)
    assert isinstance(loaded.model.pipeline, OnnxPipeline)
    rows = points[["seen", "size"]]
    plain = load_verified(bench.registry, version).predict(rows)
    pd.testing.assert_frame_equal(loaded.model.predict(rows), plain, rtol=1e-9)
    assert not isinstance(load_verified(bench.registry, version).pipeline, OnnxPipeline)


def test_MR7_a_changed_onnx_file_is_not_loaded_and_scikit_learn_answers(
    bench, trained, verdict, caplog
):
    _, _, version = accelerated_version(bench, trained, verdict)
    path = bench.registry.fetch(version, accelerator_of(version).path)
    [kept] = (bench.home / "artifacts").rglob(path.name)
    kept.write_bytes(kept.read_bytes() + b"x")
    with caplog.at_level(logging.WARNING, "mlops_dagster.scoring"):
        loaded = load(bench.registry, version)
    assert not isinstance(loaded.model.pipeline, OnnxPipeline)
    assert "It was changed and is not loaded" in caplog.text


def test_beyond_the_tolerance_the_check_warns_and_scikit_learn_answers(
    bench, trained, verdict, caplog
):
    record, check, version = accelerated_version(bench, trained, verdict, within=1e-300)
    assert (check.outcome, check.severity) == (Outcome.REFUSED, Severity.WARNING)
    assert check.because.startswith("The endpoint answers with scikit-learn. Of 50 rows")
    assert "The largest difference is" in check.because
    assert record.outcome is Outcome.PASSED
    assert ACCELERATOR_TAG not in version.tags
    assert not isinstance(load(bench.registry, version).model.pipeline, OnnxPipeline)


def test_what_is_not_declared_any_more_is_not_used_any_more(bench, trained, verdict):
    accelerated_version(bench, trained, verdict)
    run(step(bench, "run-2"), trained, verdict, promotion="automatic")
    version = bench.registry.by_alias("parcels", CHALLENGER)
    assert (version.version, accelerator_of(version)) == ("1", None)


def test_a_refused_candidate_is_not_converted(bench, trained, verdict):
    record = run(step(bench), trained, refused(verdict), promotion="automatic", onnx_within=TIGHT)
    [check] = [one for one in record.checks if one.name == "accelerator"]
    assert check.outcome is Outcome.NOT_APPLICABLE


def test_OR6_the_endpoint_is_compared_as_it_answers_within_what_was_declared(
    bench, trained, verdict
):
    record, _, _ = accelerated_version(bench, trained, verdict)
    seen = {}

    def ways(context, version, rows):
        seen.update(answer_every_way(context.bench, EndpointSpec(), version, rows))
        shifted = {"probability": [one + 1e-7 for one in seen[ENDPOINT]["probability"]]}
        return {**seen, ENDPOINT: {**seen[ENDPOINT], **shifted}}

    deployed = deploy(step(bench, "run-2", "deployment"), DeploySpec(), record, ways=ways)
    assert (deployed.outcome, champion_of(bench, MODEL)) == (Outcome.PASSED, "1")


def test_a_missing_optional_part_is_named(bench, trained, verdict, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mlops-dagster\[onnx\]'"):
        accelerated_version(bench, trained, verdict)
    with pytest.raises(MissingExtraError, match=r"serve.endpoint.accelerator needs"):
        build_stage(MODEL, promotion="automatic", serving=SERVING)


def test_an_endpoint_without_the_optional_part_answers_with_scikit_learn(
    bench, trained, verdict, monkeypatch, caplog
):
    _, _, version = accelerated_version(bench, trained, verdict)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    loaded = load(bench.registry, version)
    assert not isinstance(loaded.model.pipeline, OnnxPipeline)
    assert "pip install 'mlops-dagster[onnx]'" in caplog.text


def test_the_check_is_there_only_where_it_is_declared():
    declared = build_stage(MODEL, promotion="automatic", serving=SERVING)
    assert [(one.name, one.blocking) for one in declared.checks[2:]] == [("accelerator", False)]
    assert len(build_stage(MODEL, promotion="automatic", serving={}).checks) == 2


def fitted(estimator, features, target, *, task) -> ScoringModel:
    features = estimator_input(features, texts_of(features))
    pipeline = make_pipeline(estimator, features, EncodeSpec()).fit(features, target)
    labels = [] if task == "regression" else pipeline.classes_.tolist()
    artifact = ModelArtifact(
        functions=[], inputs=list(features), columns=list(features), pipeline=pipeline, task=task,
        labels=labels, texts=texts_of(features),
    )  # fmt: skip
    return ScoringModel(version="1", folder=None, loaded=None, artifact=artifact)


@pytest.fixture
def mixed():
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "kind": random.choice(["a", "b", None], 300),
            **{f"x{at}": random.normal(size=300) for at in range(3)},
        }
    )
    rows.loc[::9, "x0"] = np.nan
    return rows, np.where(rows["x1"] + (rows["kind"] == "a") > 0.3, "late", "early")


@pytest.mark.parametrize("columns", [["kind", "x0", "x1", "x2"], ["x2", "x0", "x1"]])
@pytest.mark.parametrize(
    "make",
    [
        partial(LogisticRegression, max_iter=500),
        partial(HistGradientBoostingClassifier, max_iter=20, random_state=0),
    ],
)
def test_text_stays_in_python_and_labels_and_nulls_are_answered_alike(mixed, columns, make):
    rows, target = mixed
    model = fitted(make(), rows[columns], target, task="binary_classification")
    best = closest(model, rows[columns], tolerance=1e-5)
    assert best.difference == ""
    fast = with_pipeline(model, best.made)
    plain, told = model.predict(rows[columns]), fast.predict(rows[columns])
    assert told["prediction"].tolist() == plain["prediction"].tolist()
    assert best.largest == pytest.approx(np.abs(told["probability"] - plain["probability"]).max())
    assert fast.predict_typed(rows[columns].head(1)).equals(told.head(1))


def test_trees_that_compare_otherwise_in_single_precision_are_found_out():
    """The thresholds of a histogram lie between values in double precision."""
    rows, target = load_diabetes(return_X_y=True, as_frame=True)
    model = fitted(
        HistGradientBoostingRegressor(random_state=0), rows[::2], target[::2], task="regression"
    )
    best = closest(model, rows[1::2], tolerance=TIGHT)
    assert best.largest > 1
    assert best.difference.startswith("Row ")


def test_a_forest_that_splits_by_missing_values_is_found_out(mixed):
    rows, target = mixed
    forest = RandomForestClassifier(20, random_state=0)
    model = fitted(forest, rows[["x0", "x1"]], target, task="binary_classification")
    best = closest(model, rows[["x0", "x1"]], tolerance=TIGHT)
    assert (best.made.numbers, best.largest > 0.01) == ("float", True)


def test_what_cannot_be_converted_is_said_in_the_converters_words(mixed):
    class Own(LogisticRegression):
        """Nothing that the converter knows."""

    rows, target = mixed
    model = fitted(Own(), rows[["x1", "x2"]], target, task="binary_classification")
    with pytest.raises(StoreError, match="cannot be converted to ONNX: In double precision"):
        closest(model, rows[["x1", "x2"]], tolerance=TIGHT)
