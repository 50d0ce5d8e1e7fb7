"""Targets: the endpoint of this package, and a deployment behind a real plugin of MLflow."""

import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_dagster.clock import wall_now
from mlops_dagster.deploy.assets import build_stage
from mlops_dagster.deploy.moves import champion_of
from mlops_dagster.deploy.run import run
from mlops_dagster.deploy.sensors import Deployed, build_live_sensor
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.deploy.targets import target_of
from mlops_dagster.errors import SpecError
from mlops_dagster.records import Finding, Outcome
from mlops_dagster.resources import RECORDS_KEY, WORKBENCH_KEY, WorkbenchResource
from mlops_dagster.scoring.loader import open_model
from mlops_dagster.serve.endpoint.live_model import LiveModel
from mlops_dagster.serve.endpoint.worker import Worker
from mlops_dagster.serve.spec import EndpointSpec
from mlops_dagster.stage import build_stage_asset
from mlops_dagster.stores.operations import Worker as Beat
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.testing.targets import TargetContract
from tests.deploy.test_moves import registered, step
from tests.scoring.models import MODEL, artifact_of, register, save, user_package

NAME = MODEL.registered_name


@pytest.fixture(scope="module")
def folders(points, tmp_path_factory):
    place = tmp_path_factory.mktemp("targets")
    made = []
    for number, strength in enumerate((1.0, 0.01)):
        function = user_package(place / f"s{number}", name=f"targetpkg{number}")
        artifact = artifact_of(points, function, strength=strength)
        made.append(save(artifact, place / f"m{number}", points, package=f"targetpkg{number}"))
    return made


@pytest.fixture
def registry(bench, folders):
    for number, folder in enumerate(folders):
        register(bench, folder, run=f"r{number}")
    return bench.registry


@pytest.fixture
def versions(registry):
    return [registry.version(NAME, number) for number in ("1", "2")]


class Fixtures(TargetContract):
    @pytest.fixture
    def registry(self, registry):
        return registry

    @pytest.fixture
    def versions(self, versions):
        return versions


class TestLocalEndpoint(Fixtures):
    @pytest.fixture
    def target(self, bench, registry, tmp_path):
        """A worker that follows the alias, and tells of itself."""
        registry.set_alias(NAME, CHAMPION, "1")
        worker = Worker(
            live=LiveModel(registry=registry, name=NAME), settings=EndpointSpec(),
            folder=tmp_path / "log", model=MODEL.name, beat=bench.operations.beat,
            leave=bench.operations.leave,
        )  # fmt: skip
        worker.start()
        yield target_of(bench, MODEL, DeploySpec())
        worker.close()

    @pytest.fixture
    def broken(self, bench):
        """A worker that stays with what it has."""
        told = Beat(
            worker="w", model=MODEL.name, segment="all", address="http://127.0.0.1:1", pid=1,
            version="1", problem="it needs pandas==0.1", seen_at=wall_now(),
        )  # fmt: skip
        bench.operations.beat(told)
        return target_of(bench, MODEL, DeploySpec())

    def test_without_an_endpoint_the_alias_says_what_answers(self, bench, registry):
        target = target_of(bench, MODEL, DeploySpec())
        assert target.live() is None
        registry.set_alias(NAME, CHAMPION, "2")
        assert target.live() == "2"


@pytest.fixture
def plugin(tmp_path_factory, monkeypatch):
    """Install the plugin as a distribution of its own, which MLflow finds by its entry point."""
    from mlflow.deployments import interface

    place = tmp_path_factory.mktemp("dist")
    info = place / "loopback-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loopback\nVersion: 1.0\n")
    lines = "[mlflow.deployments]\nloopback = tests.deploy.loopback_plugin\n"
    (info / "entry_points.txt").write_text(lines)
    monkeypatch.setattr(sys, "path", [str(place), *sys.path, str(Path.cwd())])
    interface.plugin_store.register_entrypoints()
    from tests.deploy import loopback_plugin

    yield loopback_plugin
    for name in list(loopback_plugin.RUNNING):
        loopback_plugin.RUNNING.pop(name).stop()


def declared(uri: str = "loopback", **more) -> DeploySpec:
    target = {"kind": "mlflow", "uri": uri, "name": "parcels-live", **more}
    return DeploySpec.model_validate({"target": target, "confirm_within": "5s"})


class TestMlflowDeployment(Fixtures):
    @pytest.fixture
    def target(self, bench, plugin):
        return target_of(bench, MODEL, declared())

    @pytest.fixture
    def broken(self, bench):
        return target_of(bench, MODEL, declared("nowhere"))

    def test_nothing_is_live_at_first(self, target):
        assert target.live() is None

    def test_only_the_version_that_is_meant_is_withdrawn(self, target, versions):
        assert "is not there" in target.withdraw(versions[0])
        target.follow(versions[0], within=timedelta(seconds=60))
        assert "left alone: it has models:/parcels/1" in target.withdraw(versions[1])
        assert target.live() == "1"
        assert target.withdraw(versions[0]) == "Deployment 'parcels-live' at loopback was deleted."
        assert target.live() is None


def asked(plugin, points):
    """What the deployment answers, asked as a caller does."""
    rows = points[["seen", "size"]].head(5).assign(seen=lambda r: r["seen"].astype(str))
    told = plugin.LoopbackClient("loopback").predict("parcels-live", rows)
    return [row["probability"] for row in told]


def test_a_promotion_creates_the_deployment_and_the_next_one_updates_it(
    bench, registry, plugin, points, folders
):
    rows = points[["seen", "size"]].head(5)
    for version, before in (("1", None), ("2", "1")):
        record = run(step(bench, f"run-{version}"), declared(), registered(version, against=before))
        [loads] = [one for one in record.checks if one.name == "version_loads"]
        assert loads.because.endswith(
            f"Deployment 'parcels-live' at loopback answers from version {version}."
        )
        expected = open_model(folders[int(version) - 1]).predict(rows)["probability"].tolist()
        assert asked(plugin, points) == pytest.approx(expected, rel=1e-12)
    assert list(plugin.RUNNING) == ["parcels-live"]


def test_a_version_that_the_target_refuses_is_put_back_and_no_secret_is_told(
    bench, registry, plugin, points, monkeypatch
):
    monkeypatch.setenv("TARGET_KEY", "s3cret")
    refusing = declared(config={"refuses": f"models:/{NAME}/2"}, config_from={"key": "TARGET_KEY"})
    run(step(bench), refusing, registered("1", against=None))
    before = asked(plugin, points)
    record = run(step(bench, "run-2"), refusing, registered("2", against="1"))
    assert record.outcome is Outcome.REFUSED
    assert "models:/parcels/2 is refused; the key was ..." in record.because
    assert "Version 1 was put back. Deployment 'parcels-live'" in record.because
    assert champion_of(bench, MODEL) == target_of(bench, MODEL, refusing).live() == "1"
    assert asked(plugin, points) == before


@pytest.mark.parametrize(
    ("config", "why", "left"),
    [
        ({"refuses": f"models:/{NAME}/1", "key": "k"}, "is refused", "is not there."),
        ({"never_well": True}, "parcels-live did not become well", "was deleted."),
    ],
)
def test_a_first_deployment_that_fails_leaves_nothing(bench, registry, plugin, config, why, left):
    record = run(step(bench), declared(config=config), registered("1", against=None))
    assert (record.outcome, record.version) == (Outcome.REFUSED, None)
    assert why in record.because
    told = f"No version serves, as before. Deployment 'parcels-live' at loopback {left}"
    assert record.because.endswith(told)
    assert champion_of(bench, MODEL) is None
    assert target_of(bench, MODEL, declared()).live() is None
    [move] = bench.operations.moves(NAME, "all")
    assert (move.from_version, move.to_version, move.state) == (None, "1", "undone")
    assert why in move.why
    again = run(step(bench, "run-2"), declared(), registered("1", against=None))
    assert (again.outcome, again.version) == (Outcome.PASSED, "1")
    assert [one.state for one in bench.operations.moves(NAME, "all")] == ["undone", "done"]


def test_a_secret_that_is_missing_moves_nothing(bench, registry, monkeypatch):
    monkeypatch.delenv("TARGET_KEY", raising=False)
    spec = declared(config_from={"key": "TARGET_KEY"})
    with pytest.raises(SpecError, match="TARGET_KEY, which is empty"):
        run(step(bench), spec, registered("1", against=None))
    assert champion_of(bench, MODEL) is None
    assert bench.operations.moves(NAME, "all") == []


def test_after_a_rollback_by_the_watch_the_deployment_follows(bench, registry, plugin, tmp_path):
    spec = declared()
    run(step(bench), spec, registered("1", against=None))
    run(step(bench, "run-2"), spec, registered("2", against="1"))
    now = bench.clock.now() + timedelta(minutes=1)
    found = Finding(
        model=NAME, segment="all", signal="performance", subject="log_loss",
        outcome=Outcome.REFUSED, value=0.9, limit=0.5, rows=400, window_start=None, window_end=now,
        at=now, because="log_loss is 0.9 on 400 labels; up to 0.5 is usual.", champion_version="2",
    )  # fmt: skip
    bench.operations.add_findings([found])
    asset = build_stage_asset(MODEL, build_stage(MODEL, spec, ways=lambda *_: {}))
    resources = {
        WORKBENCH_KEY: WorkbenchResource(home=str(bench.home)),
        RECORDS_KEY: dg.fs_io_manager.configured({"base_dir": str(tmp_path)}),
    }
    jobs = [dg.define_asset_job(MODEL.job("deploy"), selection=[asset])]
    given = dg.AssetSpec(dg.AssetKey([NAME, "registered_model"]))
    job = dg.Definitions([asset, given], jobs=jobs, resources=resources).resolve_job_def(
        jobs[0].name
    )
    sensor = build_live_sensor(
        [Deployed(model=MODEL, spec=spec, asset=asset.key)],
        name="live", jobs=[job], running=False, interval=timedelta(seconds=30),
    )  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance, resources={WORKBENCH_KEY: resources[WORKBENCH_KEY]}
        )
        [asked_for] = sensor.evaluate_tick(context).run_requests
        [until_it_ran] = sensor.evaluate_tick(context).run_requests
    assert until_it_ran.run_key == asked_for.run_key
    assert champion_of(bench, MODEL) == "1"
    assert target_of(bench, MODEL, spec).live() == "2"
    dg.validate_run_config(job, asked_for.run_config)
    [move] = [one for one in bench.operations.moves(NAME, "all") if one.kind == "rollback"]
    assert asked_for.run_key == f"rolled_back_{move.id}:{MODEL.address}:2"
    why = asked_for.run_config["ops"]["parcels__deployment"]["config"]["follow"]
    record = run(step(bench, "run-3", follow=why), spec, registered("2", against="1"))
    assert (record.outcome, record.version) == (Outcome.PASSED, "1")
    assert "log_loss is 0.9" in record.because
    assert record.because.endswith("at loopback answers from version 1.")
    assert target_of(bench, MODEL, spec).live() == "1"


def test_a_deployment_that_went_away_is_made_again_by_the_next_run(bench, registry, plugin):
    run(step(bench), declared(), registered("1", against=None))
    plugin.LoopbackClient("loopback").delete_deployment("parcels-live")
    record = run(step(bench, "run-2"), declared(), registered("1", against=None))
    assert record.because == "Version 1 serves already."
    assert target_of(bench, MODEL, declared()).live() == "1"


def test_mlflows_variables_are_as_they_were_afterwards(bench, registry, plugin, monkeypatch):
    import os

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    target_of(bench, MODEL, declared()).live()
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:1"
    assert "MLFLOW_REGISTRY_URI" not in os.environ


def test_a_secret_whose_variable_is_not_set_is_named(bench, monkeypatch):
    monkeypatch.delenv("TARGET_KEY", raising=False)
    with pytest.raises(SpecError, match="environment variable TARGET_KEY, which is empty"):
        target_of(bench, MODEL, declared(config_from={"key": "TARGET_KEY"}))


def test_a_secret_itself_is_refused_in_the_declaration():
    with pytest.raises(ValueError, match="name of an environment variable"):
        declared(config_from={"key": "hunter 2"})
