"""What is declared about going live."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from mlops_dagster.declaration import Duration, Spec


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
    confirm_within: Duration = Field(
        default=timedelta(seconds=30),
        description=(
            "How long the running endpoint may take to answer from a version that went live; after it "
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
