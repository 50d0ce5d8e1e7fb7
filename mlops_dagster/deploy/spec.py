"""What is declared about going live."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from mlops_dagster.declaration import Duration, Spec, VariableName


class ParitySpec(Spec):
    """How alike a version must answer over HTTP, in batch and by MLflow, before it serves."""

    rows: int = Field(
        default=1_000, ge=1, le=100_000, description="Most rows of the holdout to ask about."
    )
    tolerance: float = Field(
        default=1e-12,
        ge=0,
        lt=1,
        description=(
            "How far two numbers may be apart, relative to their size; 0 is to the last bit, which "
            "estimators with several threads do not give."
        ),
    )


class LocalTarget(Spec):
    """The endpoint of this package: its workers follow the registry's alias."""

    kind: Literal["local"] = "local"


class MlflowTarget(Spec):
    """A deployment in any target that MLflow knows by a plugin, such as sagemaker."""

    kind: Literal["mlflow"]
    uri: str = Field(
        min_length=1,
        description="What `mlflow deployments --target` takes, such as `sagemaker:/eu-west-1`.",
    )
    name: str = Field(min_length=1, description="The deployment's name there.")
    config: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="The plugin's own settings."
    )
    config_from: dict[str, VariableName] = Field(
        default_factory=dict,
        description="Settings that are secret: the name of the environment variable for each.",
    )


class DeploySpec(Spec):
    """Who lets a version serve."""

    promotion: Literal["automatic", "manual"] = Field(
        default="automatic",
        description="`automatic`: a version that passed every gate. `manual`: a person, by name.",
    )
    target: Annotated[LocalTarget | MlflowTarget, Field(discriminator="kind")] = Field(
        default_factory=LocalTarget, description="Where the champion answers."
    )
    confirm_within: Duration = Field(
        default=timedelta(seconds=30),
        description=(
            "How long the target may take to answer from a version that went live; after it "
            "the version before is put back."
        ),
    )
    parity: ParitySpec = Field(
        default_factory=ParitySpec, description="What a version must show before it serves."
    )
