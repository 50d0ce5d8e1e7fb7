"""What a candidate is measured by, and must reach."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from mlops_dagster.declaration import BUSINESS, BusinessValue, Spec, Task

MAIN_METRIC: Mapping[Task, str] = {
    Task.BINARY: "log_loss",
    Task.MULTICLASS: "log_loss",
    Task.REGRESSION: "rmse",
}
"""What a model is judged by when its declaration does not say."""


class Threshold(Spec):
    """A metric must reach a limit, on the whole holdout or on each value of a slice."""

    kind: Literal["threshold"] = "threshold"
    metric: str = Field(description="The metric's name.", examples=["roc_auc"])
    at_least: float | None = Field(default=None, description="In units of the metric.")
    at_most: float | None = Field(default=None, description="In units of the metric.")
    slice: str | None = Field(default=None, description="The column whose values are judged apart.")
    minimum_rows: int = Field(
        default=1, ge=1, description="Rows that a value of the slice must have to be judged."
    )

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            message = "give exactly one of at_least and at_most"
            raise ValueError(message)
        return self


class BeatsDummy(Spec):
    """The candidate must be better than a model that knows no feature."""

    kind: Literal["beats_dummy"] = "beats_dummy"
    metric: str = Field(description="The metric's name.", examples=["log_loss"])
    margin: float = Field(default=0.0, ge=0.0, description="By how much, in units of the metric.")


class BeatsSimple(Spec):
    """The candidate must be better than a linear model on the same features."""

    kind: Literal["beats_simple"] = "beats_simple"
    metric: str = Field(description="The metric's name.", examples=["log_loss"])
    margin: float = Field(default=0.0, ge=0.0, description="By how much, in units of the metric.")


class BeatsChampion(Spec):
    """The candidate must not be worse than the champion by more than `tolerance`."""

    kind: Literal["beats_champion"] = "beats_champion"
    metric: str = Field(description="The metric's name.", examples=["log_loss"])
    tolerance: float = Field(default=0.0, ge=0.0, description="In units of the metric.")


Gate = Annotated[Threshold | BeatsDummy | BeatsSimple | BeatsChampion, Field(discriminator="kind")]


class EvaluateSpec(Spec):
    """What a candidate is measured by on the holdout, and must reach to be registered."""

    metrics: tuple[str, ...] = Field(
        default=(), description="Metrics by name; default: all of the task."
    )
    slices: tuple[str, ...] = Field(
        default=(), description="Columns whose values are measured apart."
    )
    gates: tuple[Gate, ...] | None = Field(
        default=None,
        description=(
            "No gate may refuse a candidate, and one must pass it. Left out: better than the dummy and "
            "not worse than the champion, by the first metric. Empty: every candidate goes live."
        ),
    )
    business: BusinessValue | None = Field(
        default=None, description="What a decision is worth: the metric `business_value`."
    )

    def gates_of(self, task: Task) -> tuple[Gate, ...]:
        """List the gates: those declared, else those that every model has to pass."""
        if self.gates is not None:
            return self.gates
        metric = self.metrics[0] if self.metrics else MAIN_METRIC[task]
        return (BeatsDummy(metric=metric), BeatsChampion(metric=metric))

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """The metrics that this declaration brings."""
        return (BUSINESS,) if self.business else ()

    @property
    def settings(self) -> dict[str, JsonValue]:
        """What decides a verdict; what is not declared leaves it as it was before it could be."""
        return self.model_dump(mode="json", exclude=None if self.business else {"business"})
