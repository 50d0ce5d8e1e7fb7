"""The asset `deployment`."""

from typing import Any

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.deploy.rules import LOADS, UNCHANGED
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.records import Record
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.workbench import StepContext


def build_stage(model: ModelIdentity, spec: DeploySpec) -> Stage:
    """Declare the stage `deployment`; it is never reused: what serves is looked up each time."""

    def run(context: StepContext, *records: Any) -> Record:
        from mlops_dagster.deploy.run import run as work

        return work(context, spec, *records)

    who = "on its own once every gate is passed" if spec.promotion == "automatic" else "by a person"
    return Stage(
        noun="deployment",
        room="deploy",
        description=(
            f"Which version of **{model.registered_name}** serves (alias `champion`). "
            f"A version goes live {who}, after it loaded and answered its example."
        ),
        kinds=frozenset({"mlflow"}),
        needs=("registered_model",),
        checks=(
            StageCheck(
                name=UNCHANGED,
                description="The champion is still the one that the candidate was judged against.",
                blocking=True,
            ),
            StageCheck(
                name=LOADS,
                description="The version is what was registered, loads, and answers its example.",
                blocking=True,
            ),
        ),
        settings=spec.model_dump(mode="json"),
        run=run,
    )
