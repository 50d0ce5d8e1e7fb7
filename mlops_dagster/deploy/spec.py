"""What is declared about going live."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator

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


class HealthSpec(Spec):
    """When live answers of a version are taken for worse than those of the one before, or beside it."""

    minimum_requests: int = Field(
        default=200, ge=30, description="Fewest requests of each side; below it nothing is judged."
    )
    error_rate: float = Field(
        default=0.02, gt=0, le=1, description="Most that the share of failed requests may rise by."
    )
    latency_ratio: float = Field(
        default=2.0, gt=1, description="Most times that the 95th percentile of latency may be."
    )
    score_shift: float = Field(
        default=1.0,
        gt=0,
        description="Most that the mean answer may move, in standard deviations of the other's answers.",
    )


class CanarySpec(Spec):
    """A promotion in steps, while the endpoint runs: a version answers some keys before it answers all."""

    steps: tuple[float, ...] = Field(
        default=(0.05, 0.25),
        min_length=1,
        description="Shares of the keys that it answers, one after another; then it serves.",
    )
    hold: Duration = Field(
        default=timedelta(minutes=10), description="Shortest time of one step, by the wall clock."
    )

    @field_validator("steps")
    @classmethod
    def _rise(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < one < 1 for one in steps) or list(steps) != sorted(set(steps)):
            message = f"needed are rising shares between 0 and 1, such as [0.05, 0.25]; {list(steps)} stood there"
            raise ValueError(message)
        return steps


class DeploySpec(Spec):
    """Who lets a version serve, in which steps, and when it is put back."""

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
    canary: CanarySpec | None = Field(
        default=None,
        description="Go live in steps while the endpoint runs; left out, at once.",
    )
    bake: Duration = Field(
        default=timedelta(hours=1),
        description=(
            "How long after a promotion the version before is put back on its own when live answers get "
            "worse; 0s: never."
        ),
    )
    health: HealthSpec = Field(
        default_factory=HealthSpec, description="What worse means, in the canary and in the bake."
    )
    parity: ParitySpec = Field(
        default_factory=ParitySpec, description="What a version must show before it serves."
    )
