"""The asset `registered_model`."""

from typing import Any

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import StoreError
from mlops_dagster.records import JSON, Evaluation, Record, RegisteredVersion, TrainedModel
from mlops_dagster.register.rules import ACCELERATOR, ACCEPTED, ALONE, Promotion
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.workbench import StepContext

CONVERTED = StageCheck(
    name=ACCELERATOR,
    description="The estimator as ONNX answers the holdout as it does, so the endpoint may use it.",
    blocking=False,
)


def build_stage(model: ModelIdentity, *, promotion: Promotion, serving: JSON) -> Stage:
    """Declare the stage `registered_model`; `serving` is kept on each version for its endpoint.

    Where it has an accelerator, versions are converted to ONNX and used if they answer alike.
    Raises: MissingExtraError when that is declared and its optional part is not installed.
    """
    onnx_within = tolerance_of(serving)
    if onnx_within is not None:
        from mlops_dagster.scoring.onnx_extra import need_onnx

        need_onnx(to_convert=True)

    def run(context: StepContext, *records: Any) -> Record:
        from mlops_dagster.register.run import run as work

        return work(
            context, *records, promotion=promotion, serving=serving, onnx_within=onnx_within
        )

    def identify(_: StepContext, trained: TrainedModel, evaluation: Evaluation) -> JSON:
        return [
            trained.model_id,
            evaluation.outcome.value,
            evaluation.champion_version,
            evaluation.because,
        ]

    def lost(context: StepContext, registered: RegisteredVersion) -> str:
        from mlops_dagster.scoring.loader import check_files

        registry = context.bench.registry
        try:
            version = registry.version(registered.registered_name, registered.version)
            check_files(registry.download(version), sha256=registered.artifact_sha256)
        except StoreError as error:
            return str(error)
        return ""

    return Stage(
        noun="registered_model",
        room="register",
        description=(
            f"A version of {model.registered_name} in the registry: challenger if it passed every "
            "gate, else kept as refused with the reason."
        ),
        kinds=frozenset({"mlflow"}),
        needs=("trained_model", "evaluation"),
        takes_refused=frozenset({"evaluation"}),
        checks=(
            StageCheck(
                name=ACCEPTED,
                description="The candidate passed every gate of its evaluation.",
                blocking=True,
            ),
            StageCheck(
                name=ALONE,
                description="The model answers alike without the user's source, and beside a changed one.",
                blocking=True,
            ),
            *([CONVERTED] if onnx_within is not None else []),
        ),
        settings={"promotion": promotion, "serving": serving},
        identify=identify,
        lost=lost,
        run=run,
    )


def tolerance_of(serving: JSON) -> float | None:
    """Tell how alike ONNX must answer to be used; None where no accelerator is declared."""
    told: Any = serving or {}
    declared = told.get("endpoint", {}).get("accelerator")
    return float(declared["tolerance"]) if declared else None
