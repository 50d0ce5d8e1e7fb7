"""What a step may build upon, and show again: only what is still there and is its own."""

import dataclasses
import logging
import shutil

import dagster as dg
import pytest

from mlops_dagster.clock import ReplayClock
from mlops_dagster.declaration import LookupJoin
from mlops_dagster.lifecycle import stages_of
from mlops_dagster.resources import run_and_parents
from mlops_dagster.workbench import StepContext, Workbench
from tests.lifecycle.small import Scene, cancer, cancer_spec


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def scene(bench, instance, tmp_path) -> Scene:
    """Breast cancer from a CSV."""
    cancer().to_csv(tmp_path / "cancer.csv", index=False)
    return Scene(cancer_spec(tmp_path / "cancer.csv"), bench, instance)


def test_a_reexecution_of_a_reexecution_continues_all_runs_before_it(scene):
    job = scene.defs.resolve_job_def("cancer_lifecycle")
    runs: list[dg.DagsterRun] = []
    for _ in range(3):
        before = runs[-1].run_id if runs else None
        root = runs[0].run_id if runs else None
        made = scene.instance.create_run_for_job(job, parent_run_id=before, root_run_id=root)
        runs.append(made)
    ids = [one.run_id for one in reversed(runs)]
    assert run_and_parents(scene.instance, runs[-1]) == ids
    assert run_and_parents(scene.instance, runs[0]) == [runs[0].run_id]


def test_a_model_whose_files_are_not_what_was_trained_is_trained_and_registered_again(scene):
    first = scene.run("lifecycle")
    trained = scene.record("trained_model", first)
    folder = scene.bench.tracking.download(trained.model_uri)
    (folder / "requirements.txt").write_text("something-else\n")
    second = scene.run("retrain")
    again = scene.record("trained_model", second)
    assert scene.record("features", second).reused
    assert not again.reused
    assert again.model_uri != trained.model_uri
    assert not scene.record("registered_model", second).reused
    shutil.rmtree(scene.bench.tracking.download(again.model_uri))
    [stage] = [one for one in stages_of(scene.spec) if one.noun == "trained_model"]
    step = StepContext(
        model=scene.spec.identity, bench=scene.bench, run_id="r", root_run_id="r",
        noun="trained_model", log=logging.getLogger("test"),
    )  # fmt: skip
    assert "are gone" in stage.lost(step, again)


def test_a_registered_version_that_was_removed_is_registered_again(scene):
    import mlflow

    first = scene.run("lifecycle")
    client = mlflow.MlflowClient(scene.bench.mlflow_address)
    client.delete_registered_model_alias("cancer", "challenger")
    client.delete_registered_model_alias("cancer", "champion")
    client.delete_model_version("cancer", scene.record("registered_model", first).version)
    second = scene.run("retrain")
    assert scene.record("trained_model", second).reused
    assert not scene.record("registered_model", second).reused
    assert scene.bench.registry.versions("cancer")


def test_an_mlflow_that_knows_no_run_of_an_unchanged_model_gets_one(scene, tmp_path, monkeypatch):
    assert scene.run("lifecycle").success
    monkeypatch.chdir(tmp_path)
    here = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", here)
    for again in (False, True):
        result = scene.run("lifecycle")
        assert result.success
        assert scene.record("features", result).reused
        assert bool(scene.record("trained_model", result).reused) is again
    other = dataclasses.replace(scene.bench, tracking_uri=here)
    assert other.registry.by_alias("cancer", "champion").version == "1"


def test_a_champion_whose_files_are_gone_is_replaced_by_one_that_passes_the_other_gates(scene):
    assert scene.run("lifecycle").success
    first = scene.bench.registry.by_alias("cancer", "champion")
    shutil.rmtree(scene.bench.registry.download(first))
    strict = cancer_spec(
        scene.spec.ingest.source.path,
        evaluate={"gates": [{"kind": "threshold", "metric": "roc_auc", "at_least": 1}]},
    )
    refused = Scene(strict, scene.bench, scene.instance).run("retrain")
    [told] = [
        one.description
        for one in refused.get_asset_check_evaluations()
        if one.check_name == "candidate_accepted"
    ]
    assert "The files of version 1 are gone: what still serves it cannot be started again" in told
    assert "serves on" not in told
    assert scene.run("lifecycle").success
    now = scene.bench.registry.by_alias("cancer", "champion")
    assert now.version != "1"
    assert scene.bench.registry.has_files(now)


def test_a_home_that_was_moved_goes_on(scene, tmp_path):
    assert scene.run("lifecycle").success
    home = scene.bench.home.rename(tmp_path / "elsewhere")
    more = cancer()
    more.assign(id=more["id"] + len(more)).to_csv(tmp_path / "cancer.csv", index=False)
    moved = Scene(
        scene.spec, Workbench(home=home, clock=ReplayClock(home / "clock")), scene.instance
    )
    result = moved.run("lifecycle")
    [gate] = [
        one for one in result.get_asset_check_evaluations() if one.check_name.startswith("beats_ch")
    ]
    assert "against the champion's" in gate.description
    assert moved.run("update").success
    made = moved.record("trained_model", result)
    assert made.model_uri.startswith(f"{home}/")
    assert not scene.bench.home.exists()


def test_how_a_second_table_is_joined_decides_features_predictions_and_monitoring(tmp_path):
    def settings(**join):
        lookups = {"ward": {"kind": "file", "path": "w.csv", "key": ["id"], **join}}
        source = {"kind": "file", "path": "c.csv"}
        spec = cancer_spec(tmp_path, ingest={"source": source, "lookups": lookups})
        return {one.noun: one.settings for one in stages_of(spec)}

    before = settings(event_time="at")
    for join in ({"event_time": "at", "ttl": "2d"}, {"event_time": "at", "known_at": "told"}, {}):
        after = settings(**join)
        for noun in ("features", "predictions", "monitoring"):
            assert after[noun] != before[noun], (noun, join)
    assert set(before["monitoring"]["joins"]["ward"]) == set(LookupJoin.model_fields)
