"""A judged model gets a version that says what it is, and only an accepted one goes on."""

import logging
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest

from mlops_dagster.deploy.approval import approve
from mlops_dagster.deploy.run import run as deploy
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.errors import DataNotFitError, GateRefusedError, StoreError
from mlops_dagster.records import Check, Evaluation, Outcome, TrainedModel
from mlops_dagster.register.assets import build_stage
from mlops_dagster.register.run import run
from mlops_dagster.scoring.digest import artifact_sha256
from mlops_dagster.stores.registry import CHALLENGER
from mlops_dagster.stores.tracking import tracked
from mlops_dagster.workbench import StepContext, Workbench
from tests.scoring.models import MODEL, artifact_of, save, user_package

CARD = """\
**Accepted.** It passed.

Predicts `late` (binary_classification).

## Data
- 200 labelled rows, 2026-01-01 to 2026-02-19; learned from 150
- held out: 50 rows, 2026-02-07 to 2026-02-19
- data version `v1:data`, features `{features}`
- feature code `code-1`, git `0123456789ab` with uncommitted changes
- files SHA-256 `{sha256}`

## Metrics on the rows that were held out
| metric | this version | champion (version 4) |
|---|---|---|
| roc_auc | 0.9000 | - |
| log_loss | 0.3000 | 0.4000 |

## Gates
- beats_champion: passed. Better by 0.1.
- slices: not judged. No slice has 500 rows.

## Limits
- Judged on the held out rows alone: rows unlike them may be answered worse.
- Nothing is known of it after 2026-02-19.
- slices was not judged: No slice has 500 rows."""


def step(bench: Workbench, run_id: str = "run-1", noun: str = "registered_model") -> StepContext:
    return StepContext(
        model=MODEL,
        bench=bench,
        run_id=run_id,
        root_run_id=run_id,
        noun=noun,
        log=logging.getLogger("test"),
    )


@pytest.fixture
def folder(points, tmp_path):
    function = user_package(tmp_path / "src", name="registerpkg")
    return save(artifact_of(points, function), tmp_path / "model", points, package="registerpkg")


@pytest.fixture
def trained(bench, points, folder) -> TrainedModel:
    context = step(bench, noun="trained_model")
    rows = pa.Table.from_pandas(points, preserve_index=False)
    features = bench.tables.append("parcels/all/features", rows).ref
    holdout = bench.tables.append("parcels/all/holdout", rows.slice(150)).ref
    with tracked(bench.tracking, context.owner) as run_id:
        logged = bench.tracking.log_model(run_id, folder, name="model")
    return TrainedModel(
        **context.stamp(),
        data_version="v1:data",
        mlflow_run_id=run_id,
        model_id=logged.model_id,
        model_uri=logged.uri,
        artifact_sha256=artifact_sha256(folder),
        features=features,
        holdout=holdout,
        source_digest="source-1",
        code_digest="code-1",
        git_commit="0123456789abcdef",
        git_dirty=True,
        rows=150,
    )


@pytest.fixture
def verdict(bench, trained) -> Evaluation:
    return Evaluation(
        **step(bench, noun="evaluation").stamp(),
        data_version="v1:verdict",
        because="It passed.",
        mlflow_run_id=trained.mlflow_run_id,
        model_id=trained.model_id,
        metrics={"roc_auc": 0.9, "log_loss": 0.3},
        champion_version=None,
        champion_metrics={},
    )


def refused(verdict: Evaluation) -> Evaluation:
    return replace(verdict, outcome=Outcome.REFUSED, because="roc_auc 0.60: short by 0.05.")


def test_MR1_a_version_has_metrics_signature_example_and_data_reference(bench, trained, verdict):
    import mlflow.pyfunc

    record = run(step(bench), trained, verdict, promotion="automatic")
    version = bench.registry.by_alias("parcels", CHALLENGER)
    assert (record.outcome, record.version, version.version) == (Outcome.PASSED, "1", "1")
    told = {name.removeprefix("mlops_dagster."): text for name, text in version.tags.items()}
    assert (told["outcome"], told["approval"]) == ("passed", "not_needed")
    assert (told["metric.roc_auc"], told["metric.log_loss"]) == ("0.9", "0.3")
    assert (told["data_version"], told["code_digest"]) == ("v1:data", "code-1")
    assert (told["git_commit"], told["git_dirty"]) == ("0123456789abcdef", "true")
    assert told["features_table"] == "parcels/all/features@0"
    assert (told["artifact_sha256"], told["dagster.run_id"]) == (trained.artifact_sha256, "run-1")
    loaded = mlflow.pyfunc.load_model(str(bench.registry.download(version)))
    assert loaded.metadata.signature is not None
    assert {check.name: check.outcome for check in record.checks} == {
        "candidate_accepted": Outcome.PASSED,
        "loads_alone": Outcome.PASSED,
    }


def test_the_card_of_a_version_says_what_is_known_and_what_is_not(bench, trained, verdict):
    judged = replace(
        verdict,
        champion_version="4",
        champion_metrics={"log_loss": 0.4},
        checks=(
            Check(name="beats_champion", outcome=Outcome.PASSED, because="Better by 0.1."),
            Check(name="slices", outcome=Outcome.NOT_APPLICABLE, because="No slice has 500 rows."),
        ),
    )
    record = run(step(bench), trained, judged, promotion="automatic")
    assert record.shown["card"].value == CARD.format(
        features=trained.features.digest, sha256=trained.artifact_sha256
    )
    assert record.judged_against == "4"


def test_the_same_model_again_is_the_same_version(bench, trained, verdict):
    versions = {
        run(step(bench, f"run-{at}"), trained, verdict, promotion="automatic").version
        for at in range(2)
    }
    assert versions == {"1"}
    assert len(bench.registry.versions("parcels")) == 1


def test_a_refused_candidate_is_kept_with_its_reason_and_is_never_challenger(
    bench, trained, verdict
):
    record = run(step(bench), trained, refused(verdict), promotion="manual")
    assert record.outcome is Outcome.REFUSED
    [accepted, alone] = record.checks
    assert (accepted.name, accepted.outcome) == ("candidate_accepted", Outcome.REFUSED)
    assert "Version 1 (refused, never challenger): roc_auc 0.60: short by 0.05." in accepted.because
    assert alone.outcome is Outcome.NOT_APPLICABLE
    version = bench.registry.version("parcels", "1")
    assert version.tags["mlops_dagster.outcome"] == "refused"
    assert version.tags["mlops_dagster.because"] == "roc_auc 0.60: short by 0.05."
    assert version.tags["mlops_dagster.approval"] == "not_needed"
    assert bench.registry.by_alias("parcels", CHALLENGER) is None
    with pytest.raises(GateRefusedError, match="version 1 was refused by its gates"):
        approve(bench, MODEL, "1", who="ana", why="please")


def test_a_version_that_is_refused_later_is_challenger_no_more(bench, trained, verdict):
    run(step(bench), trained, verdict, promotion="automatic")
    run(step(bench, "run-2"), trained, refused(verdict), promotion="automatic")
    assert bench.registry.by_alias("parcels", CHALLENGER) is None
    assert bench.registry.version("parcels", "1").tags["mlops_dagster.outcome"] == "refused"


def test_an_approval_holds_for_the_verdict_that_it_was_given_on(bench, trained, verdict):
    record = run(step(bench), trained, verdict, promotion="manual")
    spec = DeploySpec(promotion="manual")
    waiting = deploy(step(bench, noun="deployment"), spec, record)
    assert (waiting.outcome, waiting.version) == (Outcome.NOT_APPLICABLE, None)
    approve(bench, MODEL, "1", who="ana", why="looked at it")
    run(step(bench, "run-2"), trained, verdict, promotion="manual")
    assert bench.registry.version("parcels", "1").tags["mlops_dagster.approval"] == "approved"
    other = replace(verdict, champion_version="7")
    run(step(bench, "run-3"), trained, other, promotion="manual")
    assert bench.registry.version("parcels", "1").tags["mlops_dagster.approval"] == "pending"


def test_a_verdict_on_another_model_is_not_taken(bench, trained, verdict):
    other = replace(verdict, model_id="m-other")
    with pytest.raises(GateRefusedError, match=r"judged m-other, but the trained model is m-"):
        run(step(bench), trained, other, promotion="automatic")
    assert bench.registry.versions("parcels") == []


def test_files_that_changed_since_training_are_not_registered(bench, trained, verdict):
    (bench.tracking.download(trained.model_uri) / "python_model.pkl").write_bytes(b"changed")
    with pytest.raises(StoreError, match=r"have SHA-256 .* are not loaded"):
        run(step(bench), trained, verdict, promotion="automatic")
    assert bench.registry.versions("parcels") == []


def test_a_model_that_reads_a_file_of_its_author_is_not_registered(bench, points, tmp_path):
    from mlops_dagster.scoring.isolation import verify_alone

    source = tmp_path / "src" / "readerpkg"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text(
        "import importlib\n"
        "def doubled(rows):\n"
        "    factor = importlib.import_module('readerpkg.numbers').FACTOR\n"
        "    return rows.assign(size2=rows['size'] * factor, hour=1.0)\n"
    )
    (source / "numbers.py").write_text("FACTOR = 2.0\n")
    import sys

    sys.path.insert(0, str(tmp_path / "src"))
    import readerpkg

    folder = save(
        artifact_of(points, readerpkg.doubled), tmp_path / "model", points, package="readerpkg"
    )
    sys.path.remove(str(tmp_path / "src"))
    with pytest.raises(DataNotFitError, match="it looks for the source of 'readerpkg'"):
        verify_alone(folder)


def test_a_model_that_does_not_answer_in_time_is_not_registered(folder):
    from mlops_dagster.scoring.isolation import verify_alone

    with pytest.raises(DataNotFitError, match=r"has not answered .* in 0\.01 s"):
        verify_alone(folder, timeout_s=0.01)


def test_whole_numbers_are_read_as_doubles_wherever_a_model_is_asked(points, tmp_path):
    from mlops_dagster.scoring.artifact import ModelArtifact
    from mlops_dagster.scoring.by_value import (
        explicit_requirements,
        package_model,
        signature_of,
    )
    from mlops_dagster.scoring.isolation import verify_alone

    class Longest:
        def predict(self, features: pd.DataFrame) -> list[float]:
            return features["length"].astype(float).tolist()

    def length(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(length=rows["id"].astype(str).str.len())

    artifact = ModelArtifact(
        functions=[length],
        inputs=["id"],
        columns=["length"],
        pipeline=Longest(),
        task="regression",
        numbers=["id"],
    )
    rows = points[["id"]]
    package_model(
        artifact,
        tmp_path / "model",
        user_packages=[__name__.partition(".")[0]],
        input_example=rows.head(),
        signature=signature_of(rows, artifact.predict(None, rows)),
        requirements=explicit_requirements("sklearn.linear_model.LogisticRegression"),
    )
    verify_alone(tmp_path / "model")
    whole, doubles = artifact.predict(None, rows), artifact.predict(None, rows.astype("float64"))
    assert whole["prediction"].tolist() == doubles["prediction"].tolist()


def test_the_stage_takes_a_refused_evaluation_and_stops_the_run_by_a_blocking_check():
    stage = build_stage(MODEL, promotion="automatic", serving={})
    assert stage.takes_refused == {"evaluation"}
    assert [(check.name, check.blocking) for check in stage.checks] == [
        ("candidate_accepted", True),
        ("loads_alone", True),
    ]
