"""Small models on tables that scikit-learn ships, and how a test runs them."""

from pathlib import Path

import dagster as dg
import pandas as pd
import sqlalchemy as sa

from mlops_dagster import LifecycleSpec, build_lifecycle
from mlops_dagster.resources import RECORDS_KEY, WORKBENCH_KEY, RecordIOManager, WorkbenchResource

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def cancer() -> pd.DataFrame:
    """Breast cancer: binary, with a key and a made-up day for each row."""
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer(as_frame=True).frame.rename(
        columns=lambda name: name.replace(" ", "_")
    )
    table = table[["mean_radius", "mean_texture", "mean_area", "mean_smoothness", "target"]]
    day = pd.date_range("2026-01-01", periods=len(table), freq="h", tz="UTC")
    return table.assign(id=range(len(table)), seen=day, target=table["target"].astype("float64"))


def cancer_spec(place: Path, **changes) -> LifecycleSpec:
    """Declare a model of breast cancer on a CSV file."""
    sections = {
        "ingest": {"source": {"kind": "file", "path": str(place)}, "cursor": "seen"},
        "train": {
            "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
            "parameters": {"max_iter": 20},
            "split": {"kind": "time", "holdout": "5d"},
        },
        "evaluate": {
            "metrics": ["roc_auc", "log_loss"],
            "gates": [
                {"kind": "threshold", "metric": "roc_auc", "at_least": 0.7},
                {"kind": "beats_dummy", "metric": "log_loss"},
                {"kind": "beats_champion", "metric": "log_loss"},
            ],
        },
        "monitor": {"freshness": {"max_age": "30d"}, "drift": {"window": "2d"}},
    }
    given = {
        "name": "cancer", "task": "binary_classification", "target": "target", "key": ["id"],
        "event_time": "seen", "owners": ["team:ward"], **sections, **changes,
    }  # fmt: skip
    return LifecycleSpec.model_validate(given)


def to_sqlite(table: pd.DataFrame, place: Path, *, name: str) -> str:
    """Write a table into a SQLite file; give its address."""
    address = f"sqlite:///{place}"
    with sa.create_engine(address).begin() as connection:
        table.to_sql(name, connection, index=False)
    return address


class Scene:
    """A model's definitions on a persistent instance and an own home."""

    def __init__(self, spec: LifecycleSpec, bench, instance: dg.DagsterInstance) -> None:
        self.spec = spec
        self.bench = bench
        self.instance = instance
        self.workbench = WorkbenchResource(home=str(bench.home), clock=bench.clock.address)
        made = build_lifecycle(spec)
        self.defs = dg.Definitions(
            assets=made.assets, jobs=made.jobs, sensors=made.sensors, schedules=made.schedules,
            resources={
                WORKBENCH_KEY: self.workbench,
                RECORDS_KEY: RecordIOManager(workbench=self.workbench),
            },
        )  # fmt: skip

    def run(
        self, job: str, *, config: dict | None = None, tags: dict | None = None
    ) -> dg.ExecuteInProcessResult:
        definition = self.defs.resolve_job_def(self.spec.identity.job(job))
        return definition.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            run_config={**QUIET, **(config or {})},
            tags=tags,
        )

    def obey(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run what a sensor asked for, as the daemon does."""
        job = str(request.job_name).removeprefix(f"{self.spec.name}_")
        return self.run(job, tags={**request.tags, "dagster/run_key": str(request.run_key)})

    def record(self, noun: str, result):
        from mlops_dagster.records import NOUNS

        model = self.spec.identity
        return self.bench.records.of_run(
            model.name, model.segment, noun, result.run_id, NOUNS[noun]
        )


def check_results(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def metadata_of(result: dg.ExecuteInProcessResult, noun: str) -> dict[str, object]:
    [event] = [
        one for one in result.get_asset_materialization_events()
        if one.asset_key and one.asset_key.path[-1] == noun
    ]  # fmt: skip
    return {
        name: value.value
        for name, value in event.step_materialization_data.materialization.metadata.items()
    }
