"""Whether times come with a time zone, and whether that is as it was. Pure."""

import json
from collections.abc import Mapping
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

ZONES = "zones"
"""The state of a table that says how its times came."""
_ZONED = r"^\d{4}-?\d\d-?\d\d[T ]\d\d.*(Z|[+-]\d\d:?\d\d|[+-]\d\d)$"


class Zone(StrEnum):
    """How the times of a column come; without a time zone they are read as UTC."""

    NONE = "none"
    GIVEN = "given"
    BOTH = "both"


def zone_of(column: pa.ChunkedArray, *, is_time: bool) -> Zone | None:
    """Say how times come; None of a column without any. Text counts where it `is_time`."""
    kind = column.type
    if column.null_count == len(column):
        return None
    if pa.types.is_timestamp(kind):
        return Zone.NONE if kind.tz is None else Zone.GIVEN
    if not (is_time and _is_text(kind)):
        return None
    zoned = pc.match_substring_regex(column.drop_null(), _ZONED)
    if pc.all(zoned).as_py():
        return Zone.GIVEN
    return Zone.BOTH if pc.any(zoned).as_py() else Zone.NONE


def is_zoned_text(column: pa.ChunkedArray) -> bool:
    """Tell by its first value whether a column holds times with a time zone as text."""
    if not _is_text(column.type) or not len(known := column.drop_null()):
        return False
    return zone_of(known.slice(0, 1), is_time=True) is Zone.GIVEN


def read_zones(state: Mapping[str, str]) -> dict[str, Zone]:
    """Read how the times of a table came, from what was noted with it."""
    return {name: Zone(zone) for name, zone in json.loads(state.get(ZONES, "{}")).items()}


def write_zones(before: Mapping[str, Zone], now: Mapping[str, Zone]) -> dict[str, str]:
    """Note how times came, as state of a commit."""
    return {ZONES: json.dumps({**before, **now}, sort_keys=True)} if now else {}


def mixed_zones(
    before: Mapping[str, Zone], now: Mapping[str, Zone], *, is_news: bool
) -> dict[str, str]:
    """Say of each column what is wrong with its time zones; `is_news`: rows are new, or corrected."""
    return {
        name: _MIXED[was, zone]
        for name, zone in now.items()
        if (was := Zone.BOTH if zone is Zone.BOTH else before.get(name)) is not None
        and (was, zone) in _MIXED
        and (is_news or zone is Zone.BOTH)
    }


_MIXED = {
    (
        Zone.BOTH,
        Zone.BOTH,
    ): "has a time zone in some rows and none in others, which were read as UTC. "
    "Give it in all rows.",
    (
        Zone.NONE,
        Zone.GIVEN,
    ): "has a time zone now and had none before, when it was read as UTC. If that "
    "was not UTC, give the rows of before with their time zone too.",
    (
        Zone.GIVEN,
        Zone.NONE,
    ): "has no time zone now, and is read as UTC; it had one before. If it is not "
    "UTC, give it with its time zone.",
}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
