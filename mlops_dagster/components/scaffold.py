"""What `dg scaffold defs mlops_dagster.components.ModelLifecycle <path>` writes."""

from typing import Literal

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel, Field


class LifecycleParams(BaseModel):
    """What is asked for when a model is scaffolded; each field is an option of `dg scaffold defs`."""

    target: str = Field(default="target", description="The column to predict.")
    data: str = Field(
        default="data.csv", description="The table: a CSV, Parquet or JSON lines file, or a glob."
    )
    task: Literal["binary_classification", "multiclass_classification", "regression"] = Field(
        default="binary_classification", description="What kind of target it is."
    )
    name: str | None = Field(
        default=None, description="The model's name; by default that of the folder."
    )


class ModelLifecycleScaffolder(dg.Scaffolder[LifecycleParams]):
    """Writes a `defs.yaml` that loads as it is."""

    @classmethod
    def get_scaffold_params(cls) -> type[LifecycleParams]:
        """Say what the command line may give."""
        return LifecycleParams

    def scaffold(self, request: dg.ScaffoldRequest[LifecycleParams]) -> None:
        """Write the declaration."""
        scaffold_component(request, attributes(request.params, folder=request.target_path.name))


def attributes(params: LifecycleParams, *, folder: str) -> dict[str, object]:
    """Make the smallest declaration that says what is asked."""
    regression = params.task == "regression"
    estimator = "HistGradientBoostingRegressor" if regression else "HistGradientBoostingClassifier"
    return {
        "name": params.name or folder.replace("-", "_").lower(),
        "task": params.task,
        "target": params.target,
        "ingest": {"source": {"kind": "file", "path": params.data}},
        "train": {"estimator": f"sklearn.ensemble.{estimator}"},
    }
