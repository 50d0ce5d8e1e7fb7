"""The whole loop from one declaration: drift, an alarm, a retrain, a comparison, and maybe a move."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_dagster import LifecycleSpec
from mlops_dagster.cli.status_facts import findings
from mlops_dagster.resources import WORKBENCH_KEY
from tests.lifecycle.small import Scene, check_results

START = pd.Timestamp("2026-02-09", tz="UTC")
SPELL = timedelta(days=20)


def spell(number: int, *, center: float, positive) -> pd.DataFrame:
    """Twenty days of rows around a center; one label in ten is wrong."""
    chance = np.random.default_rng(number)
    seen = pd.date_range(START + number * SPELL, periods=20 * 72, freq="20min")
    size = chance.normal(center, 1.0, len(seen))
    days = (seen - seen[0]).days.to_numpy()
    truth = positive(size, days) ^ (chance.random(len(seen)) < 0.1)
    ids = np.arange(len(seen)) + number * len(seen)
    return pd.DataFrame({"id": ids, "seen": seen, "size": size, "late": truth.astype(int)})


SPELLS = [
    spell(0, center=0.0, positive=lambda size, _: size > 0),
    # What is late moved with the sizes: the first model is wrong here, a new one need not be.
    spell(1, center=2.0, positive=lambda size, _: size > 2),
    # Fifteen days teach the contrary of what the last five, which are held out, are like.
    spell(2, center=5.0, positive=lambda size, days: (size > 2) & (days >= 15)),
]


def declared(place: Path) -> LifecycleSpec:
    return LifecycleSpec.model_validate(
        {
            "name": "parcels", "task": "binary_classification", "target": "late", "key": ["id"],
            "event_time": "seen",
            "ingest": {"source": {"kind": "file", "path": str(place)}, "cursor": "seen"},
            "train": {
                "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
                "parameters": {"max_iter": 20}, "split": {"kind": "time", "holdout": "5d"},
            },
            "evaluate": {
                "metrics": ["log_loss"],
                "gates": [{"kind": "beats_champion", "metric": "log_loss"}],
            },
            "monitor": {"drift": {"window": "2d", "minimum_rows": 100}},
            "retrain": {"triggers": ["drift"], "min_new_rows": 500, "cooldown": "7d"},
        }
    )  # fmt: skip


@pytest.fixture
def scene(bench, tmp_path):
    with dg.instance_for_test() as instance:
        yield Scene(declared(tmp_path / "parcels.csv"), bench, instance)


def arrive(scene: Scene, place: Path, spells: int) -> None:
    """Let so many spells of rows be there, and the clock stand at their end."""
    pd.concat(SPELLS[:spells]).to_csv(place, index=False)
    scene.bench.clock.set((START + spells * SPELL).to_pydatetime())


def asked(scene: Scene) -> list[dg.RunRequest]:
    sensor = scene.defs.get_repository_def().get_sensor_def("parcels_drift_sensor")
    resources = {WORKBENCH_KEY: scene.workbench}
    context = dg.build_sensor_context(instance=scene.instance, resources=resources)
    return list(sensor(context).run_requests)


def told_by_status(scene: Scene) -> set[object]:
    told = findings(scene.bench, "parcels")
    return {one.values["check"] for one in told if one.label == "finding"}


def refused_by(result: dg.ExecuteInProcessResult) -> set[object]:
    shown = [
        one for one in check_results(result).values() if one.asset_key.path[-1] == "monitoring"
    ]
    return {one.check_name for one in shown if one.metadata["outcome"].value == "refused"}


def champion(scene: Scene) -> str:
    return scene.bench.registry.by_alias("parcels", "champion").version


def test_TE6_drift_alarm_then_retrain_then_compare_and_only_a_better_one_is_promoted(
    scene, tmp_path
):
    place = tmp_path / "parcels.csv"
    arrive(scene, place, 1)
    assert scene.run("lifecycle").success
    assert (champion(scene), asked(scene)) == ("1", [])

    arrive(scene, place, 2)
    watched = scene.run("update")
    assert not check_results(watched)["feature_drift"].passed
    assert told_by_status(scene) == refused_by(watched)
    [request] = asked(scene)
    assert (request.job_name, request.tags["mlops_dagster/reason"]) == ("parcels_retrain", "drift")
    assert "drift alarm(s) since the last training" in request.tags["mlops_dagster/because"]
    better = scene.obey(request)
    assert better.success
    assert "better by" in check_results(better)["beats_champion_log_loss"].description
    assert champion(scene) == "2"
    assert asked(scene) == []

    arrive(scene, place, 3)
    assert not check_results(scene.run("update"))["feature_drift"].passed
    [request] = asked(scene)
    assert request.tags["mlops_dagster/reason"] == "drift"
    worse = scene.obey(request)
    assert not worse.success
    gate = check_results(worse)["beats_champion_log_loss"]
    assert not gate.passed
    assert "(version 2): worse by" in gate.description
    assert champion(scene) == "2"
    assert scene.bench.registry.version("parcels", "3").tags["mlops_dagster.outcome"] == "refused"
    moves = scene.bench.operations.moves("parcels", "all", state="done")
    assert [(one.from_version, one.to_version) for one in moves] == [(None, "1"), ("1", "2")]
