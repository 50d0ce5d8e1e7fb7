"""What can be declared of the rules that rows must meet."""

from pydantic import Field, JsonValue

from mlops_dagster.declaration import Spec
from mlops_dagster.records import Severity


class ExpectationSpec(Spec):
    """One expectation, as Great Expectations 1.x writes it."""

    type: str = Field(description="Such as `expect_column_values_to_not_be_null`.")
    kwargs: dict[str, JsonValue] = Field(
        default={}, description="Its arguments: `column`, `min_value`, `mostly` (a share of 1)."
    )
    severity: Severity = Field(
        default=Severity.CRITICAL,
        description="`critical` refuses the batch and blocks; `warning` and `info` only show.",
    )
    meta: dict[str, JsonValue] = Field(default={}, description="Notes for people.")


class ValidateSpec(Spec):
    """The suite that each increment of rows is judged by."""

    expectations: tuple[ExpectationSpec, ...] = Field(
        default=(), description="Expectations, in the order that they are shown."
    )
    suite: str | None = Field(
        default=None,
        description="A JSON or YAML file with a suite of Great Expectations 1.x; comes after the others.",
    )
