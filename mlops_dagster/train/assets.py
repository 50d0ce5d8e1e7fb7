"""The asset `trained_model`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from mlops_dagster.declaration import BusinessValue, ModelIdentity
from mlops_dagster.errors import StoreError
from mlops_dagster.records import JSON, FeatureSet, Record, TrainedModel
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
    business: BusinessValue | None = None,
) -> Stage:
    """Declare the stage `trained_model`; the losses of `slices` are kept with the model.

    `business` values its decisions. Raises: SpecError when it is to choose the threshold and cannot.
    """
    threshold = spec.decides_from(business)

    def run(context: StepContext, *records: Any) -> Record:
        from mlops_dagster.train.run import run as work

        return work(
            context,
            spec,
            *records,
            functions=functions,
            reference_window=reference_window,
            slices=slices,
            business=business,
        )

    def identify(_: StepContext, features: FeatureSet) -> JSON:
        return [features.data_version, features.table.digest]

    def lost(context: StepContext, trained: TrainedModel) -> str:
        from mlops_dagster.scoring.loader import check_files

        tracking = context.bench.tracking
        if not tracking.has_model(trained.mlflow_run_id, model_id=trained.model_id):
            return (
                f"{tracking.address} does not know its run {trained.mlflow_run_id} with the model "
                f"{trained.model_id}."
            )
        try:
            folder = tracking.download(trained.model_uri)
            check_files(folder, sha256=trained.artifact_sha256)
        except StoreError as error:
            return str(error)
        return ""

    return Stage(
        noun="trained_model",
        room="train",
        description=(
            f"{spec.estimator} fitted to predict {model.target}, logged to MLflow with its data "
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
            "spec": spec.settings | ({"decides_from": threshold} if threshold != 0.5 else {}),
            "reference_window": reference_window.total_seconds(),
        },
        identify=identify,
        lost=lost,
        run=run,
    )
