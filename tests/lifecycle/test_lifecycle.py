"""One declaration, the whole life: on a real instance, real MLflow, real tables."""

from datetime import timedelta

import dagster as dg
import mlflow
import pandas as pd
import pytest

from mlops_dagster import LifecycleSpec, build_lifecycle
from mlops_dagster.records import Finding, Outcome
from mlops_dagster.resources import WORKBENCH_KEY
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.scoring.rows import decode_inputs
from mlops_dagster.stores.operations import FindingFilter
from tests.lifecycle.small import Scene, cancer, cancer_spec, check_results, metadata_of, to_sqlite

NOUNS = [
    "raw_data", "validated_data", "features", "trained_model", "evaluation",
    "registered_model", "deployment", "predictions", "monitoring",
]  # fmt: skip


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def scene(bench, instance, tmp_path) -> Scene:
    """Breast cancer from a CSV whose last rows have no target yet."""
    table = cancer()
    table.loc[table.index[-40:], "target"] = None
    table.to_csv(tmp_path / "cancer.csv", index=False)
    return Scene(cancer_spec(tmp_path / "cancer.csv"), bench, instance)


def test_CI2_the_whole_life_runs_and_a_second_run_reuses_what_is_unchanged(scene):
    first = scene.run("lifecycle")
    assert first.success
    assert scene.bench.registry.by_alias("cancer", "champion").version == "1"
    second = scene.run("lifecycle")
    assert second.success
    for noun in ("features", "trained_model", "predictions"):
        assert scene.record(noun, second).reused.startswith(f"Reused the {noun} made in run")
    assert len(scene.bench.registry.versions("cancer")) == 1


def test_OR7_a_reused_step_shows_the_same_checks_and_says_why(scene):
    first, second = scene.run("lifecycle"), scene.run("lifecycle")
    before, after = check_results(first), check_results(second)
    assert before.keys() == after.keys()
    assert after["no_leaked_target"].passed
    told = metadata_of(second, "features")
    assert "the data versions, the code and the settings" in told["reused"]
    assert told["dagster/row_count"] == metadata_of(first, "features")["dagster/row_count"]


def test_mlflow_in_a_plain_process_equals_the_batch_predictions_exactly(scene):
    assert scene.run("lifecycle").success
    stored = scene.bench.tables.read("cancer/all/predictions").to_pandas()
    version = scene.bench.registry.by_alias("cancer", "champion")
    loaded = load_verified(scene.bench.registry, version)
    plain = mlflow.pyfunc.load_model(version.source)
    answer = plain.predict(decode_inputs(list(stored["inputs"]), loaded))
    assert len(stored) == 40
    assert answer["probability"].tolist() == stored["probability"].tolist()


def test_OR4_scoring_a_window_again_overwrites_and_never_doubles(scene):
    assert scene.run("lifecycle").success
    stored = scene.bench.tables.read("cancer/all/predictions").to_pandas()
    window = stored["window"].iloc[0]
    config = {"ops": {"cancer__predictions": {"config": {"window": window}}}}
    again = scene.run("score", config=config)
    assert again.success
    assert scene.record("predictions", again).new_rows == (stored["window"] == window).sum()
    after = scene.bench.tables.read("cancer/all/predictions").to_pandas()
    assert len(after) == len(stored)
    assert after["prediction_id"].is_unique


def test_ET3_links_lead_from_dagster_to_mlflow_and_back(scene):
    result = scene.run("lifecycle")
    url = metadata_of(result, "trained_model")["mlflow run"]
    trained = scene.record("trained_model", result)
    assert url.partition("?")[0].endswith(f"/runs/{trained.mlflow_run_id}")
    client = mlflow.MlflowClient(scene.bench.mlflow_address)
    tags = client.get_run(trained.mlflow_run_id).data.tags
    assert tags["dagster.run_id"] == result.run_id
    assert tags["dagster.url"].endswith(f"/runs/{result.run_id}")
    assert client.get_run(trained.mlflow_run_id).info.status == "FINISHED"


def test_OR8_a_failed_run_continues_from_the_failed_step_in_the_same_mlflow_run(scene, tmp_path):
    broken = Scene(
        cancer_spec(tmp_path / "cancer.csv", evaluate={"slices": ["ward"]}),
        scene.bench,
        scene.instance,
    )
    failed = broken.run("lifecycle")
    assert not failed.success
    job = scene.defs.resolve_job_def("cancer_lifecycle")
    parent = scene.instance.get_run_by_id(failed.run_id)
    again = job.execute_in_process(
        instance=scene.instance, raise_on_error=False,
        asset_selection=[dg.AssetKey(["cancer", noun]) for noun in NOUNS[4:]],
        tags={
            "dagster/is_resume_retry": "true",
            "dagster/root_run_id": parent.run_id, "dagster/parent_run_id": parent.run_id,
        },
    )  # fmt: skip
    assert again.success
    trained = broken.record("trained_model", failed)
    assert scene.record("evaluation", again).mlflow_run_id == trained.mlflow_run_id
    assert scene.record("trained_model", again) is None


def test_GO2_each_asset_has_owner_group_description_and_stage(scene):
    graph = scene.defs.resolve_asset_graph()
    for noun in NOUNS:
        node = graph.get(dg.AssetKey(["cancer", noun]))
        assert node.owners == ["team:ward"]
        assert node.group_name == "cancer"
        assert node.description
        assert not set("*`#") & set(node.description.partition(". ")[0])
        assert node.tags["mlops_dagster/stage"]
        assert node.code_version


def test_OR1_a_schedule_per_job_by_cron(bench, instance, tmp_path):
    spec = cancer_spec(tmp_path / "none.csv", schedules={"score": "0 3 * * *"})
    [schedule] = Scene(spec, bench, instance).defs.schedules
    assert (schedule.name, schedule.cron_schedule) == ("cancer_score_schedule", "0 3 * * *")


def test_MD5_all_metadata_can_be_queried_on_one_machine(scene):
    assert scene.run("lifecycle").success
    assert scene.bench.operations.moves("cancer", "all")[0].to_version == "1"
    assert scene.bench.tables.latest("cancer/all/features").ref.rows > 0
    assert {one.name for one in scene.bench.home.iterdir()} >= {
        "lake",
        "mlflow.db",
        "operations.db",
    }


def test_two_models_and_two_segments_share_a_location_and_stay_apart(bench, instance, tmp_path):
    cancer().to_csv(tmp_path / "cancer.csv", index=False)
    specs = [
        cancer_spec(tmp_path / "cancer.csv"),
        cancer_spec(tmp_path / "cancer.csv", segment="north"),
        cancer_spec(tmp_path / "cancer.csv", name="other"),
    ]
    merged = dg.Definitions.merge(*(build_lifecycle(one) for one in specs))
    dg.Definitions.validate_loadable(merged)
    for spec in specs[:2]:
        assert Scene(spec, bench, instance).run("lifecycle").success
    names = {"cancer", "cancer--north"}
    assert {bench.registry.by_alias(name, "champion").version for name in names} == {"1"}
    assert bench.operations.moves("cancer", "north")[0].registered_name == "cancer--north"


def test_wine_from_a_database_is_multiclass(bench, instance, tmp_path):
    from sklearn.datasets import load_wine

    table = load_wine(as_frame=True).frame.assign(id=lambda rows: range(len(rows)))
    table["target"] = table["target"].map({0: "barolo", 1: "grignolino", 2: "barbera"})
    table.loc[table.sample(8, random_state=1).index, "target"] = None
    address = to_sqlite(table, tmp_path / "wine.db", name="wine")
    spec = LifecycleSpec.model_validate(
        {
            "name": "wine", "task": "multiclass_classification", "target": "target", "key": ["id"],
            "ingest": {"source": {"kind": "sql", "url": address, "table": "wine"}},
            "train": {"estimator": "sklearn.ensemble.RandomForestClassifier", "parameters": {"n_estimators": 20}},
            "evaluate": {"gates": [{"kind": "beats_dummy", "metric": "log_loss"}]},
        }
    )  # fmt: skip
    scene = Scene(spec, bench, instance)
    result = scene.run("lifecycle")
    assert result.success
    stored = bench.tables.read("wine/all/predictions").to_pandas()
    assert len(stored) == 8
    assert set(stored["prediction"]) <= {"barolo", "grignolino", "barbera"}


def test_diabetes_from_a_csv_without_key_or_time_is_regression(bench, instance, tmp_path):
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True).frame
    table.loc[table.sample(12, random_state=1).index, "target"] = None
    table.to_csv(tmp_path / "diabetes.csv", index=False)
    spec = LifecycleSpec.model_validate(
        {
            "name": "diabetes", "task": "regression", "target": "target",
            "ingest": {"source": {"kind": "file", "path": str(tmp_path / "diabetes.csv")}},
            "train": {"estimator": "sklearn.linear_model.Ridge"},
            "evaluate": {"gates": [{"kind": "beats_dummy", "metric": "rmse"}]},
        }
    )  # fmt: skip
    assert "the table is one snapshot" in " ".join(spec.losses)
    scene = Scene(spec, bench, instance)
    assert scene.run("lifecycle").success
    assert bench.tables.latest("diabetes/all/predictions").ref.rows == 12


def test_CI3_a_worse_candidate_fails_the_run_and_the_champion_stays(scene, tmp_path):
    assert scene.run("lifecycle").success
    worse = cancer_spec(
        tmp_path / "cancer.csv",
        train={
            "estimator": "sklearn.dummy.DummyClassifier",
            "split": {"kind": "time", "holdout": "5d"},
        },
    )
    result = Scene(worse, scene.bench, scene.instance).run("retrain")
    assert not result.success
    gate = check_results(result)["beats_champion_log_loss"]
    assert not gate.passed
    assert "against the champion's" in gate.description
    assert "worse by" in gate.description
    assert scene.bench.registry.by_alias("cancer", "champion").version == "1"
    refused = scene.bench.registry.version("cancer", "2")
    assert refused.tags["mlops_dagster.outcome"] == "refused"
    assert scene.bench.registry.by_alias("cancer", "challenger").version == "1"


def test_CI4_a_retrained_model_passes_the_same_gates_and_the_serving_smoke_test(scene, tmp_path):
    spec = cancer_spec(
        tmp_path / "cancer.csv",
        evaluate={"gates": [{"kind": "beats_champion", "metric": "log_loss", "tolerance": 1.0}]},
    )
    scene = Scene(spec, scene.bench, scene.instance)
    first = scene.run("lifecycle")
    table = cancer()
    told = pd.concat([pd.read_csv(tmp_path / "cancer.csv"), table.tail(40).assign(
        seen=table["seen"].tail(40) + timedelta(days=2), id=table["id"].tail(40) + 1_000,
    )])  # fmt: skip
    told.to_csv(tmp_path / "cancer.csv", index=False)
    assert scene.run("update").success
    again = scene.run("retrain")
    assert (first.success, again.success) == (True, True)
    before, after = check_results(first), check_results(again)
    assert after.keys() <= before.keys()
    for name in ("beats_champion_log_loss", "candidate_accepted", "version_loads", "parity"):
        assert after[name].passed, (name, after[name].description)
    assert "of its holdout answered alike by the endpoint, batch" in after["parity"].description
    versions = scene.bench.registry.versions("cancer")
    assert len({one.tags["mlops_dagster.code_digest"] for one in versions}) == 1
    assert scene.bench.registry.by_alias("cancer", "champion").version == "2"


def test_TE3_a_refused_batch_blocks_what_comes_after_and_a_good_one_goes_through(scene, tmp_path):
    rules = {
        "expectations": [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "mean_area"}}
        ]
    }
    place = tmp_path / "cancer.csv"
    ruled = Scene(cancer_spec(place, validate=rules), scene.bench, scene.instance)
    assert ruled.run("lifecycle").success
    table = pd.read_csv(place)
    more = table.tail(20).assign(id=lambda rows: rows["id"] + 1_000, mean_area=None)
    pd.concat([table, more]).to_csv(place, index=False)
    bad = ruled.run("update")
    assert not bad.success
    assert ruled.record("validated_data", bad).outcome is Outcome.REFUSED
    assert not check_results(bad)["column_values_to_not_be_null__mean_area"].passed
    assert ruled.record("predictions", bad) is None
    # It was kept out: there is nothing in it to learn from, so it asks for no retrain.
    only = FindingFilter(signals=frozenset({"failed_check", "refused_data"}))
    found = scene.bench.operations.newest_findings("cancer", "all", only=only)
    assert [one.signal for one in found] == ["refused_data"]
    mended = more.assign(mean_area=500.0)
    pd.concat([table, mended]).to_csv(place, index=False)
    assert ruled.run("update").success


def test_a_drift_alarm_asks_for_a_retrain_and_the_same_candidate_again_moves_nothing(
    scene, tmp_path
):
    spec = cancer_spec(
        tmp_path / "cancer.csv",
        retrain={"triggers": ["drift"], "min_new_rows": 0, "cooldown": "1d"},
        evaluate={"gates": [{"kind": "beats_champion", "metric": "log_loss", "tolerance": 0.0}]},
    )
    scene = Scene(spec, scene.bench, scene.instance)
    assert scene.run("lifecycle").success
    later = scene.bench.clock.now() + timedelta(days=2)
    scene.bench.clock.set(later)
    scene.bench.operations.add_findings([drift_alarm(later)])
    sensor = scene.defs.get_repository_def().get_sensor_def("cancer_drift_sensor")
    context = dg.build_sensor_context(
        instance=scene.instance, resources={WORKBENCH_KEY: scene.workbench}
    )
    [request] = sensor(context).run_requests
    assert (request.job_name, request.tags["mlops_dagster/reason"]) == ("cancer_retrain", "drift")
    assert "prediction moved by 0.3" in request.tags["mlops_dagster/because"]
    assert scene.run("retrain").success
    assert scene.bench.registry.by_alias("cancer", "champion").version == "1"
    assert len(scene.bench.registry.versions("cancer")) == 1


def drift_alarm(at) -> Finding:
    return Finding(
        model="cancer", segment="all", signal="prediction_drift", subject="probability",
        outcome=Outcome.REFUSED, value=0.3, limit=0.1, rows=900, window_start=at,
        window_end=at, at=at, because="prediction moved by 0.3 (limit 0.1).",
    )  # fmt: skip
