"""What is declared about going live."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from mlops_dagster.declaration import Duration, Spec


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


class DeploySpec(Spec):
    """Who lets a version serve."""

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
    parity: ParitySpec = Field(
        default_factory=ParitySpec, description="What a version must show before it serves."
    )
