"""Whether data and model are fresh enough: ages against what is declared, by the clock. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlops_dagster.declaration import write_duration
from mlops_dagster.records import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeVerdict:
    """How old something is. Ages and limits are in hours."""

    outcome: Outcome
    because: str
    hours: float | None
    limit_hours: float | None


def judge_data_age(
    newest: datetime | None, *, now: datetime, limit: timedelta | None
) -> AgeVerdict:
    """Judge the age of the newest event in the data, not of the last time that it was read."""
    return _judge("The newest event in the data", "is from", newest, now=now, limit=limit)


def judge_model_age(
    since: datetime | None, *, now: datetime, limit: timedelta | None, version: str
) -> AgeVerdict:
    """Judge how long the champion has served."""
    return _judge(f"The champion, version {version},", "serves since", since, now=now, limit=limit)


def as_utc(moment: datetime) -> datetime:
    """Read a time without a zone as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _judge(
    what: str, how: str, moment: datetime | None, *, now: datetime, limit: timedelta | None
) -> AgeVerdict:
    allowed = limit.total_seconds() / 3600 if limit is not None else None
    if moment is None:
        because = f"{what} has no known time, so its age cannot be told."
        return AgeVerdict(
            outcome=Outcome.NOT_APPLICABLE, because=because, hours=None, limit_hours=allowed
        )
    age = now - as_utc(moment)
    hours = age.total_seconds() / 3600
    told = f"{what} {how} {as_utc(moment):%Y-%m-%d %H:%M} UTC"
    if age < timedelta(0):
        because = f"{told}, which is still to come."
        return AgeVerdict(
            outcome=Outcome.NOT_APPLICABLE, because=because, hours=hours, limit_hours=allowed
        )
    told += f", {_written(age)} ago"
    if limit is None:
        because = f"{told}; no limit is declared under monitor.freshness."
        return AgeVerdict(
            outcome=Outcome.NOT_APPLICABLE, because=because, hours=hours, limit_hours=None
        )
    late = age > limit
    because = f"{told}; the limit is {write_duration(limit)}{_excess(age, limit) if late else ''}."
    return AgeVerdict(
        outcome=Outcome.REFUSED if late else Outcome.PASSED,
        because=because,
        hours=hours,
        limit_hours=allowed,
    )


def _excess(age: timedelta, limit: timedelta) -> str:
    return f", passed by {_written(age - limit)}"


def _written(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if abs(hours) >= 48 else f"{hours:.1f} hours"
