"""What is declared about features."""

from pydantic import Field

from mlops_dagster.declaration import Spec


class FeaturesSpec(Spec):
    """What the model is given. The functions see one row at a time, and never the target."""

    functions: tuple[str, ...] = Field(
        default=(),
        description="`module:function`, each a pandas.DataFrame -> pandas.DataFrame, in order.",
        examples=[["project.features:calendar"]],
    )
    columns: tuple[str, ...] | None = Field(
        default=None,
        description="Columns that the model is given; default: all that are no key and no time.",
    )
    exclude: tuple[str, ...] = Field(default=(), description="Columns that it is not given.")
