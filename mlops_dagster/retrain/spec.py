"""What is declared about retraining."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from mlops_dagster.declaration import Duration, Spec

Trigger = Literal["new_data", "stale_model", "drift", "failed_check"]


class RetrainSpec(Spec):
    """When a new candidate is trained. Every no is kept with its reason, like every yes."""

    # Not `on`: YAML reads that key as the truth value.
    triggers: tuple[Trigger, ...] = Field(
        default=("new_data", "stale_model", "drift"), description="What may ask for a retrain."
    )
    min_new_rows: int = Field(
        default=1, ge=0, description="Labelled rows accepted since the last training, at least."
    )
    cooldown: Duration = Field(
        default=timedelta(days=1), description="Time that passes between two retrains, at least."
    )
    max_model_age: Duration = Field(
        default=timedelta(days=30), description="Age at which a model counts as stale."
    )
    drift_signals: tuple[Literal["feature_drift", "prediction_drift"], ...] = Field(
        default=("prediction_drift",),
        description="Which drift may ask for a retrain; feature drift alone only informs.",
    )
