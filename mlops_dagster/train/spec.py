"""What is declared about training."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator

from mlops_dagster.declaration import BusinessValue, Duration, Spec
from mlops_dagster.errors import SpecError
from mlops_dagster.metrics.business import best_threshold


class TimeSplit(Spec):
    """The newest rows are held out."""

    kind: Literal["time"] = "time"
    holdout: Duration = Field(default=timedelta(days=14), description="Length of what is held out.")


class RandomSplit(Spec):
    """Rows are held out by chance."""

    kind: Literal["random"] = "random"
    holdout: float = Field(default=0.2, gt=0, lt=1, description="Share of rows held out.")


class StratifiedSplit(Spec):
    """Rows are held out by chance, each class in its share."""

    kind: Literal["stratified"] = "stratified"
    holdout: float = Field(default=0.2, gt=0, lt=1, description="Share of rows held out.")


class GroupSplit(Spec):
    """Whole groups are held out by chance: no group is on both sides."""

    kind: Literal["group"] = "group"
    column: str = Field(description="The column that names a row's group.")
    holdout: float = Field(default=0.2, gt=0, lt=1, description="Share of groups held out.")


Split = Annotated[
    TimeSplit | RandomSplit | StratifiedSplit | GroupSplit, Field(discriminator="kind")
]


class EncodeSpec(Spec):
    """How text and missing values reach the estimator; `auto` goes by whether it takes nulls."""

    categorical: Literal["auto", "ordinal", "one_hot"] = Field(
        default="auto", description="`ordinal` for trees, `one_hot` for the rest."
    )
    missing: Literal["auto", "keep", "median"] = Field(
        default="auto", description="`keep` nulls for estimators that take them, else the median."
    )


class TrainSpec(Spec):
    """What is fitted, and on which rows."""

    estimator: str = Field(
        description="Import path of a scikit-learn compatible estimator.",
        examples=["sklearn.ensemble.HistGradientBoostingClassifier"],
    )
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="Its constructor's arguments."
    )
    encode: EncodeSpec = Field(default_factory=EncodeSpec, description="Text and missing values.")
    split: Split | None = Field(
        default=None,
        description="What is held out; default: the newest fifth with event_time, else by chance.",
    )
    window: Duration | None = Field(
        default=None,
        gt=timedelta(0),
        description=(
            "Learn from the newest rows alone, of so long before the newest one that is not held out; "
            "default: from all history. It needs event_time."
        ),
    )
    threshold: Literal["business"] | float = Field(
        default=0.5,
        description=(
            "Probability from which the answer is the positive label; `business` takes the one at which "
            "`evaluate.business` is worth most, if the probability is calibrated."
        ),
    )
    seed: int = Field(default=0, ge=0, description="The same seed gives the same model.")

    @field_validator("threshold")
    @classmethod
    def _is_a_probability(cls, value: str | float) -> str | float:
        if isinstance(value, float) and not 0 < value < 1:
            message = "a probability between 0 and 1 is needed, or `business`"
            raise ValueError(message)
        return value

    @property
    def settings(self) -> dict[str, JsonValue]:
        """What decides a model; what is not declared leaves it as it was before it could be."""
        usual = {"threshold": 0.5, "window": None}
        left_out = {name for name, value in usual.items() if getattr(self, name) == value}
        return self.model_dump(mode="json", exclude=left_out)

    def decides_from(self, business: BusinessValue | None) -> float:
        """Tell the probability from which the answer is the positive label.

        Raises: SpecError when the business value has no such threshold.
        """
        if self.threshold != "business":
            return self.threshold
        if business is None or business.function is not None:
            message = (
                "train.threshold: 'business' needs the four values of evaluate.business. Declare them, "
                "or give a probability."
            )
            raise SpecError(message)
        return best_threshold(business)
