"""What is declared about training."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from mlops_dagster.declaration import Duration, Spec


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
    seed: int = Field(default=0, ge=0, description="The same seed gives the same model.")
