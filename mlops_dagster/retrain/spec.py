"""What is declared about retraining."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from mlops_dagster.declaration import Duration, Spec

Trigger = Literal["new_data", "stale_model", "drift", "performance", "failed_check"]
DriftSeverity = Literal["minor", "moderate", "major"]
SHORTEST_COOLDOWN = timedelta(hours=1)


class RetrainSpec(Spec):
    """When a new candidate is trained. Every no is kept with its reason, like every yes.

    At most one run of a model is open, whatever is declared.
    """

    # Not `on`: YAML reads that key as the truth value.
    triggers: tuple[Trigger, ...] = Field(
        default=("new_data", "stale_model", "drift"),
        description=(
            "What may ask for a retrain. A failed check does when its data was let through; data that "
            "was refused teaches nothing."
        ),
    )
    min_new_rows: int = Field(
        default=1, ge=0, description="Labelled rows accepted since the last training, at least."
    )
    cooldown: Duration = Field(
        default=timedelta(days=1),
        ge=SHORTEST_COOLDOWN,
        description="Time that passes between two retrains, at least; one hour or more.",
    )
    most_per_week: int = Field(
        default=7, ge=1, description="Most retrains in any seven days, whatever asks for them."
    )
    max_model_age: Duration = Field(
        default=timedelta(days=30), description="Age at which a model counts as stale."
    )
    drift_signals: tuple[Literal["feature_drift", "prediction_drift"], ...] = Field(
        default=("prediction_drift",),
        description="Which drift may ask for a retrain; feature drift alone only informs.",
    )
    drift_severity: DriftSeverity = Field(
        default="moderate", description="Least severity of drift that asks; less only informs."
    )
    alarm_windows: int = Field(
        default=1, ge=1, description="In how many windows drift must be found before it asks."
    )
    of_windows: int | None = Field(
        default=None,
        ge=1,
        description="Among how many of the last windows; left out, all since the last training.",
    )

    @model_validator(mode="after")
    def _some_window_can_alarm(self) -> Self:
        if self.of_windows is not None and self.alarm_windows > self.of_windows:
            message = (
                f"alarm_windows: {self.alarm_windows} of the last {self.of_windows} windows is never "
                "reached. Let of_windows be at least as many."
            )
            raise ValueError(message)
        return self
