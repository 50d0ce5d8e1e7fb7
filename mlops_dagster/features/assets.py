"""The asset `features`."""

from collections.abc import Mapping
from typing import Any

from mlops_dagster.declaration import LookupJoin, ModelIdentity
from mlops_dagster.features.spec import FeaturesSpec
from mlops_dagster.records import JSON, Record, Snapshot
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.workbench import StepContext


def build_stage(
    model: ModelIdentity, spec: FeaturesSpec, *, joins: Mapping[str, LookupJoin]
) -> Stage:
    """Declare the stage `features`."""

    def run(context: StepContext, *records: Any) -> Record:
        from mlops_dagster.features.run import run as work

        return work(context, spec, *records, joins=joins)

    def identify(_: StepContext, validated: Snapshot) -> JSON:
        from mlops_dagster.scoring.functions import code_digest

        lookups: JSON = {name: ref.digest for name, ref in validated.lookups.items()}
        return [validated.data_version, lookups, code_digest(spec.functions)]

    listed = "".join(f"\n- `{path}`" for path in spec.functions) or " the columns as they are"
    return Stage(
        noun="features",
        room="features",
        description=(
            f"What the model of {model.target} is given, for every accepted row whose target is "
            f"known. Made by:{listed}"
        ),
        kinds=frozenset({"pandas", "deltalake"}),
        needs=("validated_data",),
        checks=(
            StageCheck(
                name="no_leaked_target",
                description="No feature says the target alone.",
                blocking=True,
            ),
        ),
        settings={
            "spec": spec.model_dump(mode="json"),
            "target": model.target,
            "joins": {name: join.model_dump(mode="json") for name, join in joins.items()},
        },
        identify=identify,
        run=run,
    )
