"""What is declared about going live."""

from typing import Literal

from pydantic import Field

from mlops_dagster.declaration import Spec


class DeploySpec(Spec):
    """Who lets a version serve."""

    promotion: Literal["automatic", "manual"] = Field(
        default="automatic",
        description="`automatic`: a version that passed every gate. `manual`: a person, by name.",
    )
