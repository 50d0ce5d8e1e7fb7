"""A home whose registry serves a model like that of the flights demonstration, made in seconds."""

import json
import os
from pathlib import Path

import pandas as pd

NAME = "flights"
KEY, TIME, TARGET = "flight_id", "scheduled_departure", "late"
TEXTS = ["carrier", "origin", "dest"]
_UNTIL = "2013-04-03T06:00:00+00:00"


def rows() -> pd.DataFrame:
    """Three months of departures with the weather at their hour."""
    from assets.flight_delay.source import WEATHER, departures, weather

    os.environ["MLOPS_CLOCK"] = "wall"
    flights, hours = departures(), weather()
    flights = flights[flights[TIME] < pd.Timestamp(_UNTIL)]
    hour = flights[TIME].dt.floor("h")
    named = hours.rename(columns={name: f"weather_{name}" for name in WEATHER})
    joined = flights.assign(time_hour=hour).merge(named, on=["origin", "time_hour"], how="left")
    return joined.drop(columns="time_hour")


def artifact_of(table: pd.DataFrame):
    """Fit the demonstration's estimator behind its feature code."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from assets.flight_delay.features import calendar, weather
    from mlops_dagster.scoring.artifact import ModelArtifact, estimator_input
    from mlops_dagster.train.estimator import make_pipeline
    from mlops_dagster.train.spec import EncodeSpec

    inputs = [name for name in table if name not in (KEY, TARGET)]
    features = weather(calendar(table[inputs])).drop(columns=TIME)
    pipeline = make_pipeline(
        HistGradientBoostingClassifier(max_iter=100, random_state=7), features, EncodeSpec()
    )
    pipeline.fit(estimator_input(features, TEXTS), table[TARGET])
    return ModelArtifact(
        functions=[calendar, weather],
        inputs=inputs,
        columns=list(features),
        pipeline=pipeline,
        task="binary_classification",
        labels=[0.0, 1.0],
        times=[TIME],
        texts=TEXTS,
        numbers=[name for name in inputs if name not in (*TEXTS, TIME)],
    )


def register(home: Path) -> Path:
    """Train, package and register the model in a new home; give its files' folder."""
    from mlops_dagster.records import SERVING_TAG
    from mlops_dagster.scoring.by_value import explicit_requirements, package_model, signature_of
    from mlops_dagster.scoring.digest import artifact_sha256
    from mlops_dagster.scoring.loader import SHA256
    from mlops_dagster.stores.registry import CHAMPION
    from mlops_dagster.stores.tracking import RunOwner, tracked
    from mlops_dagster.workbench import Workbench

    table = rows()
    artifact, folder, bench = artifact_of(table), home / "packaged", Workbench(home=home)
    asked = table[artifact.inputs]
    package_model(
        artifact,
        folder,
        user_packages=["assets"],
        input_example=asked.head(5),
        signature=signature_of(asked.head(), artifact.predict(None, asked.head())),
        requirements=explicit_requirements("sklearn.ensemble.HistGradientBoostingClassifier"),
    )
    with tracked(
        bench.tracking, RunOwner(root_run_id="r", run_id="r", model=NAME, segment="all")
    ) as run:
        logged = bench.tracking.log_model(run, folder, name="model")
    serving = {"key": [KEY], "event_time": TIME, "endpoint": {}}
    tags = {SHA256: artifact_sha256(folder), SERVING_TAG: json.dumps(serving)}
    version = bench.registry.create_version(
        NAME, source=logged.uri, mlflow_run_id=run, model_id=logged.model_id, tags=tags
    )
    bench.registry.set_alias(NAME, CHAMPION, version.version)
    return bench.registry.download(version)
