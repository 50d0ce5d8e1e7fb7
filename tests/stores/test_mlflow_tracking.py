"""MLflow as tracking: the contract, and what is MLflow's own."""

import subprocess
import sys

import pytest
import sqlalchemy as sa

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.mlflow_tracking import MlflowTracking, in_batches, pages_of
from mlops_dagster.stores.tracking import tracked
from mlops_dagster.testing.tracking import OWNER, TrackingContract, an_owner
from mlops_dagster.workbench import Workbench


def client_of(tracking):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking.address)


class TestMlflowTracking(TrackingContract):
    @pytest.fixture
    def tracking(self, bench):
        return bench.tracking

    def status(self, tracking, run_id):
        return client_of(tracking).get_run(run_id).info.status

    def params(self, tracking, run_id):
        return client_of(tracking).get_run(run_id).data.params

    def metrics(self, tracking, run_id):
        return client_of(tracking).get_run(run_id).data.metrics

    def tags(self, tracking, run_id):
        return client_of(tracking).get_run(run_id).data.tags


def test_a_run_names_the_exact_data_version_that_it_used(bench):
    digest = "v1:" + "0123456789abcdef" * 4
    with tracked(bench.tracking, OWNER) as run_id:
        bench.tracking.log_dataset(
            run_id, name="features", digest=digest, source="a/features@3", rows=12, context="train"
        )
    [used] = client_of(bench.tracking).get_run(run_id).inputs.dataset_inputs
    assert used.dataset.name == "features"
    assert len(used.dataset.digest) == 36
    tags = {tag.key: tag.value for tag in used.tags}
    assert tags == {"mlflow.data.context": "train", "mlops_dagster.data_version": digest}


def test_ET2_two_runs_stand_side_by_side_in_the_models_experiment(bench):
    for number in ("1", "2"):
        with tracked(bench.tracking, an_owner(root_run_id=f"root-{number}")) as run_id:
            bench.tracking.log(run_id, params={"depth": number}, metrics={"auc": int(number) / 10})
    client = client_of(bench.tracking)
    experiment = client.get_experiment_by_name("churn")
    runs = client.search_runs([experiment.experiment_id], order_by=["metrics.auc DESC"])
    assert [(run.data.params["depth"], run.data.metrics["auc"]) for run in runs] == [
        ("2", 0.2),
        ("1", 0.1),
    ]
    assert experiment.artifact_location == f"{bench.artifacts_root}/churn"


def test_ET3_a_run_has_an_address_and_names_the_dagster_run(bench):
    run_id = bench.tracking.run_of(OWNER)
    run = client_of(bench.tracking).get_run(run_id)
    expected = f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs/{run_id}"
    trainings = "?workflowType=machine_learning"
    assert bench.tracking.run_url(run_id) == expected + trainings
    file = bench.tracking.run_url(run_id, file="cards/churn.md")
    assert file == f"{expected}/artifactPath/cards/churn.md{trainings}"
    assert run.data.tags["dagster.url"] == "http://127.0.0.1:3000/runs/run-1"


def test_a_model_and_its_run_show_each_other_and_the_metrics(bench, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "MLmodel").write_text("flavors: {}\n")
    with tracked(bench.tracking, OWNER) as run_id:
        logged = bench.tracking.log_model(run_id, tmp_path / "saved", name="model")
        bench.tracking.log(run_id, metrics={"auc": 0.5}, model_id=logged.model_id)
    client = client_of(bench.tracking)
    run = client.get_run(run_id)
    assert [one.model_id for one in run.outputs.model_outputs] == [logged.model_id]
    tags = client.get_experiment(run.info.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    model = client.get_logged_model(logged.model_id)
    assert str(model.status) == "READY"
    assert [(metric.key, metric.value) for metric in model.metrics] == [("auc", 0.5)]


def test_files_and_texts_are_kept_with_the_run(bench, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "roc.svg").write_text("<svg/>")
    with tracked(bench.tracking, OWNER) as run_id:
        bench.tracking.log_files(run_id, tmp_path / "pictures", under="evaluation")
        bench.tracking.log_text(run_id, "# A card", path="card.md")
    client = client_of(bench.tracking)
    listed = {one.path for one in client.list_artifacts(run_id)}
    assert listed == {"evaluation", "card.md"}
    assert [one.path for one in client.list_artifacts(run_id, "evaluation")] == [
        "evaluation/roc.svg"
    ]


def test_two_segments_have_experiments_of_their_own(bench):
    bench.tracking.run_of(OWNER)
    bench.tracking.run_of(an_owner(segment="north"))
    names = {one.name for one in client_of(bench.tracking).search_experiments()}
    assert names == {"Default", "churn", "churn--north"}


def test_a_server_that_does_not_answer_is_named_without_its_password(bench, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = "http://ana:secret@127.0.0.1:9"
    tracking = MlflowTracking(address, artifacts="", operations=bench.operations)
    with pytest.raises(
        StoreError, match=r"tracking: no answer from http://127\.0\.0\.1:9: "
    ) as raised:
        tracking.run_of(OWNER)
    assert "secret" not in str(raised.value)


def test_a_link_to_a_run_has_no_secret_of_the_server(bench):
    address = "http://ana:secret@127.0.0.1:9/mlflow/?token=abc"
    tracking = MlflowTracking(address, artifacts="", operations=bench.operations)
    assert tracking.address == "http://127.0.0.1:9/mlflow/?token=***"
    assert pages_of(address) == "http://127.0.0.1:9/mlflow"
    assert pages_of("sqlite:///mlflow.db") == ""


def test_a_request_is_never_larger_than_mlflow_takes():
    entries = {"metrics": list(range(2_100)), "params": list(range(150)), "tags": []}
    parts = list(in_batches(entries))
    assert [len(part["metrics"]) for part in parts] == [1_000, 1_000, 100]
    assert [len(part["params"]) for part in parts] == [100, 50, 0]
    assert list(in_batches({"metrics": [], "params": [], "tags": []})) == [
        {"metrics": [], "params": [], "tags": []}
    ]


def test_a_database_whose_making_was_killed_is_made_anew(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "mlflow.db.0123").write_bytes(b"half made")
    run_id = Workbench(home=home).tracking.run_of(OWNER)
    assert Workbench(home=home).tracking.run_of(OWNER) == run_id
    assert (home / "mlflow.db").is_file()


@pytest.mark.postgres
def test_a_database_that_is_not_ours_is_used_but_never_created(bench, postgres, tmp_path):
    tracking = MlflowTracking(postgres, artifacts=str(tmp_path), operations=bench.operations)
    with pytest.raises(StoreError, match=r"has no MLflow tables.*mlflow db upgrade"):
        tracking.run_of(OWNER)
    engine = sa.create_engine(postgres, poolclass=sa.NullPool)
    assert sa.inspect(engine).get_table_names() == []
    made = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", postgres],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    with tracked(tracking, OWNER) as run_id:
        tracking.log(run_id, metrics={"auc": 0.5})
    assert tracking.run_of(OWNER) == run_id


OPEN = """
import sys
from pathlib import Path
from mlops_dagster.stores.tracking import RunOwner
from mlops_dagster.workbench import Workbench

owner = RunOwner(root_run_id=sys.argv[2], run_id="r", model="churn", segment="all")
print(Workbench(home=Path(sys.argv[1])).tracking.run_of(owner))
"""


@pytest.mark.e2e
def test_several_processes_may_be_the_first_to_open_the_embedded_store(tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path / "home"), root],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for root in ("same", "same", "other")
    ]
    ended = [(process.communicate(timeout=120), process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0, 0], ended
    first, second, other = [told[0].strip() for told, _ in ended]
    assert first == second != other
