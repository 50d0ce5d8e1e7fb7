"""What is declared about going live."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from mlops_dagster.declaration import Duration, Spec


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
