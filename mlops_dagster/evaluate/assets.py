"""The asset `evaluation`, with one check for each gate."""

from typing import Any

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.evaluate.rules import check_names
from mlops_dagster.evaluate.spec import EvaluateSpec
from mlops_dagster.records import JSON, JUDGED_AGAINST_TAG, FeatureSet, Record, TrainedModel
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.workbench import StepContext

JUDGED_AGAINST = JUDGED_AGAINST_TAG


def build_stage(model: ModelIdentity, spec: EvaluateSpec) -> Stage:
    """Declare the stage `evaluation`. Its checks do not block: a refused candidate is registered as such."""

    def run(context: StepContext, *records: Any) -> Record:
        from mlops_dagster.evaluate.run import run as work

        return work(context, spec, *records)

    def identify(context: StepContext, trained: TrainedModel, _: FeatureSet) -> JSON:
        champion = context.bench.registry.by_alias(model.registered_name, CHAMPION)
        against = champion.version if champion else "none"
        if champion and champion.source == trained.model_uri:
            # It serves already: the verdict that let it stands, by whom it was held against then.
            against = champion.tags.get(JUDGED_AGAINST, against)
        elif champion and not context.bench.registry.has_files(champion):
            against = f"{against}, gone"
        return [trained.model_id, against]

    gates = spec.gates_of(model.task)
    return Stage(
        noun="evaluation",
        room="evaluate",
        description=(
            f"The candidate for {model.target} on the rows that it has not seen, beside a dummy, a "
            "linear model and the champion; one check for each gate."
        ),
        kinds=frozenset({"mlflow", "scikitlearn"}),
        needs=("trained_model", "features"),
        checks=tuple(
            StageCheck(name=name, description=_described(gate.model_dump(exclude_none=True)))
            for name, gate in zip(check_names(gates), gates, strict=True)
        ),
        settings=spec.model_copy(update={"gates": gates}).settings,
        identify=identify,
        run=run,
    )


def _described(gate: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in gate.items())
