"""The base of every declaration, and a model's identity: what all rooms may know of a model."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([wdhms])\s*$")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def parse_duration(value: object) -> object:
    """Read `14d`, `36h`, `90m`, `30s`, `2w`; a number alone is refused: its unit would be a guess."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    kind, message = "time_delta_unit", "Input should be a length of time such as 14d, 36h or 90m"
    raise PydanticCustomError(kind, message)


def write_duration(value: timedelta) -> str:
    """Write a duration in the largest unit that keeps it whole: `14d`, `36h`."""
    seconds = value.total_seconds()
    unit = next((u for u, size in _UNITS.items() if seconds and seconds % size == 0), "s")
    return f"{seconds / _UNITS[unit]:g}{unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["14d", "36h", "90m"]}),
]
"""A length of time, written as a number and one of w, d, h, m, s."""


def refuse_secret(value: str) -> str:
    """Refuse what cannot be a variable's name, without showing it."""
    if not _VARIABLE.match(value):
        message = (
            "needed is the name of an environment variable, such as SHOP_URL, which holds the value. "
            "What stood there is no name, and is not shown: it may be the secret itself."
        )
        raise ValueError(message)
    return value


VariableName = Annotated[str, AfterValidator(refuse_secret)]
"""The name of an environment variable: a secret is never written into a declaration."""


OptionalVariableName = Annotated[str, AfterValidator(lambda name: name and refuse_secret(name))]
"""The name of an environment variable, or nothing."""


class Spec(BaseModel, frozen=True, extra="forbid"):
    """A frozen value that refuses unknown keys."""


class Task(StrEnum):
    """What kind of target a model predicts."""

    BINARY = "binary_classification"
    MULTICLASS = "multiclass_classification"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        """Tell whether the target is a label rather than a number."""
        return self is not Task.REGRESSION


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class ModelIdentity(Spec):
    """What every room may know of a model."""

    name: Name = Field(description="The model's name: lower case, digits, underscore.")
    segment: Name = Field(
        default="all", description="A customer or region with a model of its own."
    )
    task: Task = Field(description="What kind of target it is.")
    target: str = Field(description="The column to predict; null where it is still unknown.")
    key: tuple[str, ...] = Field(default=(), description="The columns that name one row.")
    event_time: str | None = Field(default=None, description="The column of when a row happened.")
    owners: tuple[str, ...] = Field(
        default=(), description="E-mail addresses or `team:<name>`, shown in Dagster."
    )
    description: str = Field(default="", description="One sentence for people.")

    @property
    def address(self) -> str:
        """The model and segment as one path: `flight_delay/all`."""
        return f"{self.name}/{self.segment}"

    def job(self, name: str) -> str:
        """Name one of the model's jobs: `flight_delay_retrain`."""
        segment = "" if self.segment == "all" else f"__{self.segment}"
        return f"{self.name}{segment}_{name}"

    @property
    def registered_name(self) -> str:
        """The name in the registry: the only place where it is made."""
        return registered_name(self.name, segment=self.segment)


class LookupJoin(Spec):
    """How a second table is joined to a row, as it was known at the row's own time.

    Its columns come as `<name>_<column>`. Without `event_time` it is a plain join by key.
    """

    key: tuple[str, ...] = Field(min_length=1, description="Columns present in both tables.")
    event_time: str | None = Field(default=None, description="Column: when the value was true.")
    known_at: str | None = Field(
        default=None, description="Column: when the value became known; default is `event_time`."
    )
    ttl: Duration | None = Field(default=None, description="Values older than this are null.")

    @model_validator(mode="after")
    def _times_need_event_time(self) -> Self:
        asked = [name for name in ("known_at", "ttl") if getattr(self, name) is not None]
        if asked and self.event_time is None:
            message = (
                f"{asked[0]} needs event_time, without which the join is by key alone. "
                f"Declare event_time, or leave {asked[0]} out."
            )
            raise ValueError(message)
        return self


class LabelJoin(Spec):
    """Which prediction a label is of, and when it was true. The latest label of a prediction counts.

    The latest is by `label_time`, among equal times the one that came last. A null label withdraws.
    """

    prediction_id: str | None = Field(
        default=None, description="Column that holds the id which came with the answer."
    )
    key: tuple[str, ...] = Field(
        default=(), description="Columns of the same names as the model's key; its default."
    )
    label: str = Field(description="Column: the outcome, in the target's own values.")
    label_time: str | None = Field(
        default=None, description="Column: since when this label holds; default: since it came."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.prediction_id is not None and self.key:
            message = "give prediction_id or key, not both: a label is joined one way"
            raise ValueError(message)
        return self


BUSINESS = "business_value"
"""The metric's name: the mean value of a decision."""


class BusinessValue(Spec):
    """What a decision is worth, in a unit of your own: four values of two labels, or a function.

    The metric `business_value` is the mean over all decisions; more is better.
    """

    true_positive: float | None = Field(default=None, description="Said positive, and it was.")
    false_positive: float | None = Field(default=None, description="Said positive, and it was not.")
    true_negative: float | None = Field(default=None, description="Said negative, and it was.")
    false_negative: float | None = Field(default=None, description="Said negative, and it was not.")
    function: str | None = Field(
        default=None,
        pattern=r"^[\w.]+:[\w.]+$",
        description="`package.module:function` of (truth, prediction, probability), a value per row.",
    )

    @property
    def by_kind(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """What a decision is worth, by what it was and then by what was said, negative first."""
        return (
            (self.true_negative or 0.0, self.false_positive or 0.0),
            (self.false_negative or 0.0, self.true_positive or 0.0),
        )

    @model_validator(mode="after")
    def _values_or_function(self) -> Self:
        four = (self.true_positive, self.false_positive, self.true_negative, self.false_negative)
        told = [one for one in four if one is not None]
        if self.function is not None and not told:
            return self
        if self.function is not None or len(told) < len(four):
            message = (
                "give true_positive, false_positive, true_negative and false_negative, or a function "
                "alone"
            )
            raise ValueError(message)
        return self


def registered_name(model: str, *, segment: str = "all") -> str:
    """Make the name under which a model's versions are registered."""
    return model if segment == "all" else f"{model}--{segment}"
