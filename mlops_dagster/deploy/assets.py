"""The asset `deployment`."""

from typing import TYPE_CHECKING, Any

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.deploy.rules import LOADS, PARITY, UNCHANGED
from mlops_dagster.deploy.spec import DeploySpec
from mlops_dagster.records import Record
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.workbench import StepContext

if TYPE_CHECKING:
    from mlops_dagster.deploy.parity import Ways


def build_stage(model: ModelIdentity, spec: DeploySpec, *, ways: "Ways") -> Stage:
    """Declare the stage `deployment`; it is never reused: what serves is looked up each time.

    `ways` asks a version in every way it will be asked.
    """

    def run(context: StepContext, *records: Any) -> Record:
        from mlops_dagster.deploy.run import run as work

        return work(context, spec, *records, ways=ways)

    who = "on its own once every gate is passed" if spec.promotion == "automatic" else "by a person"
    return Stage(
        noun="deployment",
        room="deploy",
        description=(
            f"Which version of {model.registered_name} serves: the alias champion. "
            f"A version goes live {who}, after it loaded and answers alike over HTTP, "
            "in batch and by MLflow."
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
            StageCheck(
                name=PARITY,
                description="The endpoint, batch scoring and mlflow.pyfunc give the same answers.",
                blocking=True,
            ),
        ),
        settings=spec.model_dump(mode="json"),
        config={
            "follow": "Why the target is to follow the alias, and no version is decided on; default: decide."
        },
        run=run,
    )
