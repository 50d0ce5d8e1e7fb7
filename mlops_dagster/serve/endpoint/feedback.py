"""What callers learn later about an answer: the truth, or a reward."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_dagster.clock import wall_now
from mlops_dagster.errors import DataNotFitError

ID_PATTERN = r"[0-9a-f]{32}(-[0-9]+)?"
_ID = re.compile(ID_PATTERN)
_KNOWN = {"prediction_id", "value", "time"}


def read_feedback(given: Any, *, request: str) -> list[dict[str, Any]]:
    """Read one item or a list of them as records of the log; `time` defaults to now.

    Raises: DataNotFitError naming the field that does not fit.
    """
    items = given if isinstance(given, list) else [given]
    return [_record(at, item, request) for at, item in enumerate(items)]


def _record(at: int, item: Any, request: str) -> dict[str, Any]:
    if not isinstance(item, Mapping) or not {"prediction_id", "value"} <= item.keys() <= _KNOWN:
        message = f"Item {at}: needed is {{prediction_id, value, time}}; `time` may be left out."
        raise DataNotFitError(message)
    name, value = item["prediction_id"], item["value"]
    if not isinstance(name, str) or not _ID.fullmatch(name):
        message = f"Item {at}: prediction_id is the `id` that came with the answer."
        raise DataNotFitError(message)
    if not isinstance(value, str | int | float | None):
        message = f"Item {at}: value must be a number, text, true or false, or null to withdraw what was told."
        raise DataNotFitError(message)
    return {
        "feedback": name,
        "id": f"{request}-{at}",
        "value": value,
        "time": _time(at, item.get("time")).isoformat(),
        "at": wall_now().isoformat(),
    }


def _time(at: int, given: Any) -> datetime:
    if given is None:
        return wall_now()
    try:
        read = datetime.fromisoformat(given)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        message = f"Item {at}: time must be ISO 8601, such as 2026-01-31T12:00:00Z."
        raise DataNotFitError(message) from error
