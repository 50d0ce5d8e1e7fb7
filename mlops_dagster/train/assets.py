"""The asset `trained_model`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import JSON, FeatureSet, Record
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.train.spec import TrainSpec
from mlops_dagster.workbench import StepContext


def build_stage(
    model: ModelIdentity,
    spec: TrainSpec,
    *,
    functions: Sequence[str],
    reference_window: timedelta,
    slices: Sequence[str] = (),
) -> Stage:
    """Declare the stage `trained_model`; the losses of `slices` are kept with the model."""

    def run(context: StepContext, *records: Any) -> Record:
        from mlops_dagster.train.run import run as work

        return work(
            context,
            spec,
            *records,
            functions=functions,
            reference_window=reference_window,
            slices=slices,
        )

    def identify(_: StepContext, features: FeatureSet) -> JSON:
        return [features.data_version, features.table.digest]

    return Stage(
        noun="trained_model",
        room="train",
        description=(
            f"`{spec.estimator}` fitted to predict **{model.target}**, logged to MLflow with its data "
            "version, code, environment and profile. Not judged yet."
        ),
        kinds=frozenset({"mlflow", "scikitlearn"}),
        needs=("features",),
        checks=(
            StageCheck(
                name="no_row_in_both_splits",
                description="No key stands in the training rows and in the holdout.",
                blocking=True,
            ),
        ),
        settings={
            "spec": spec.model_dump(mode="json"),
            "reference_window": reference_window.total_seconds(),
        },
        identify=identify,
        run=run,
    )
