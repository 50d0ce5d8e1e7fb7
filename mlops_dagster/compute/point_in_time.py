"""Joining a second table as it was known at each row's own time."""

from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa

from mlops_dagster.compute.local import Compute
from mlops_dagster.errors import DataNotFitError

_EPOCH_UNITS = {"us": 1_000_000, "ns": 1_000_000_000}

# A fact is known from the later of its two times on. Of the facts known by then the one with the newest
# event counts, so a fact that became known after a newer event can never be chosen: dropping those
# leaves, for each key, facts whose events only grow, and the last one known is the one to take.
_AS_KNOWN = """
WITH facts AS (
    SELECT *, greatest(event, known) AS since FROM lookup WHERE event IS NOT NULL AND known IS NOT NULL
), ordered AS (
    SELECT *,
        max(event) OVER (
            PARTITION BY {keys} ORDER BY since, event, known, position
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS newest,
        row_number() OVER (
            PARTITION BY {keys}, since ORDER BY event DESC, known DESC, position DESC
        ) AS place
    FROM facts
), usable AS (
    SELECT * FROM ordered WHERE event = newest AND place = 1
)
SELECT CASE WHEN {fresh} THEN usable.position END AS position
FROM spine ASOF LEFT JOIN usable ON {same} AND spine.at >= usable.since
ORDER BY spine.position
"""

_BY_KEY = """
SELECT lookup.position AS position FROM spine LEFT JOIN lookup ON {same} ORDER BY spine.position
"""


def join_as_known(  # noqa: PLR0913 - each argument names one part of the join
    compute: Compute,
    spine: pa.Table,
    lookup: pa.Table,
    *,
    name: str,
    key: Sequence[str],
    at: str,
    event_time: str | None = None,
    known_at: str | None = None,
    ttl: timedelta | None = None,
) -> pa.Table:
    """Add to each row of `spine` the row of `lookup` that was the newest known at the row's time `at`.

    That is the largest `event_time` among those with `event_time` and `known_at` both at or before
    `at`; of equal ones the last known. `known_at` None: a value was known when it happened. A value
    older than `ttl` at the row's time is null, and so is all where `at` is null. A lookup row without
    its times is never used. Without `event_time` it is a plain join by key.

    Rows keep their order and number. The lookup's columns come as `<name>_<column>`, without key, times
    and those that start with `_`.
    Raises: DataNotFitError for absent columns, times that cannot be compared, a taken name, or, without
        `event_time`, a key that comes twice.
    """
    where = f"lookup {name!r}"
    times = [one for one in (event_time, known_at) if one is not None]
    _check_columns(where, spine, [*key, *([at] if event_time else [])])
    _check_columns(where, lookup, [*key, *times])
    _check_keys(where, spine, lookup, key)
    if event_time is None:
        positions = _positions_by_key(compute, spine, lookup, where=where, key=key)
    else:
        known = known_at or event_time
        unit = _unit(
            where, spine.column(at), [(one, lookup.column(one)) for one in (event_time, known)]
        )
        tables = {
            "spine": _keyed(spine, key, at=_ticks(where, at, spine, unit)),
            "lookup": _keyed(
                lookup,
                key,
                event=_ticks(where, event_time, lookup, unit),
                known=_ticks(where, known, lookup, unit),
            ),
        }
        positions = compute.sql(_as_known(key, ttl, unit), tables).column("position")
    kept = [c for c in lookup.column_names if c not in {*key, *times} and not c.startswith("_")]
    return _widened(where, spine, lookup.select(kept).take(positions), name=name)


def _as_known(key: Sequence[str], ttl: timedelta | None, unit: str) -> str:
    longest = (
        "" if ttl is None else f"{ttl // timedelta(microseconds=1) * _EPOCH_UNITS[unit] // 10**6}"
    )
    return _AS_KNOWN.format(
        keys=", ".join(f"key_{number}" for number in range(len(key))),
        same=_same(key, "usable"),
        fresh=f"spine.at - usable.event <= {longest}" if longest else "TRUE",
    )


def _same(key: Sequence[str], right: str) -> str:
    return " AND ".join(f"spine.key_{number} = {right}.key_{number}" for number in range(len(key)))


def _positions_by_key(
    compute: Compute, spine: pa.Table, lookup: pa.Table, *, where: str, key: Sequence[str]
) -> pa.ChunkedArray:
    keys = lookup.select(list(key)).drop_null()
    different = keys.group_by(list(key)).aggregate([]).num_rows
    if different < keys.num_rows:
        message = (
            f"{where}: {keys.num_rows} rows have only {different} different keys {list(key)}, so which "
            "one to take is not said. Name its event_time, or give each key once."
        )
        raise DataNotFitError(message)
    tables = {"spine": _keyed(spine, key), "lookup": _keyed(lookup, key)}
    return compute.sql(_BY_KEY.format(same=_same(key, "lookup")), tables).column("position")


def _keyed(table: pa.Table, key: Sequence[str], **columns: pa.ChunkedArray) -> pa.Table:
    """Keep what a join looks at: keys, times as numbers, and the row's position."""
    keys = {f"key_{number}": _plain(table.column(one)) for number, one in enumerate(key)}
    return pa.table({**keys, **columns, "position": pa.array(range(table.num_rows), pa.int64())})


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _check_columns(where: str, table: pa.Table, needed: Sequence[str]) -> None:
    if missing := [one for one in needed if one not in table.column_names]:
        raise DataNotFitError.missing_columns(where, missing, table.column_names)


def _check_keys(where: str, spine: pa.Table, lookup: pa.Table, key: Sequence[str]) -> None:
    """Refuse text against numbers: the database would cast, and fail or match by accident."""
    for one in key:
        left, right = _plain(spine.column(one)).type, _plain(lookup.column(one)).type
        if left != right and _family(left) != _family(right):
            message = (
                f"{where}: key {one!r} is {left} in the rows and {right} in the lookup. "
                "Give both the same type."
            )
            raise DataNotFitError(message)


def _family(kind: pa.DataType) -> str:
    families = {
        "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        "whole number": (pa.types.is_integer,),
        "number": (pa.types.is_floating,),
        "time": (pa.types.is_timestamp,),
        "date": (pa.types.is_date,),
        "null": (pa.types.is_null,),
    }
    return next(
        (name for name, tests in families.items() if any(t(kind) for t in tests)), str(kind)
    )


def _unit(where: str, at: pa.ChunkedArray, times: list[tuple[str, pa.ChunkedArray]]) -> str:
    """Choose the tick that keeps every time exact; refuse times that cannot be compared."""
    units = {"us"}
    for name, column in [("the row's time", at), *times]:
        kind = _plain(column).type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
            message = f"{where}: {name!r} is {kind}, not a time. Make it a timestamp or a date."
            raise DataNotFitError(message)
        if _zoned(kind) != _zoned(at.type) and not pa.types.is_null(kind):
            message = (
                f"{where}: {name!r} is {kind} and the row's time {at.type}: one has a time zone and the "
                "other has none, so which was first is unknown. Give both a zone, or none."
            )
            raise DataNotFitError(message)
        units.add("ns" if pa.types.is_timestamp(kind) and kind.unit == "ns" else "us")
    return "ns" if "ns" in units else "us"


def _zoned(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is not None


def _ticks(where: str, name: str, table: pa.Table, unit: str) -> pa.ChunkedArray:
    column = _plain(table.column(name))
    zone = "UTC" if _zoned(column.type) else None
    try:
        return column.cast(pa.timestamp(unit, zone)).cast(pa.int64())
    except pa.ArrowInvalid as error:
        message = (
            f"{where}: a time in {name!r} is outside of what nanoseconds reach (years 1677 to 2262): "
            f"{error}. Keep the times in microseconds."
        )
        raise DataNotFitError(message) from error


def _widened(where: str, spine: pa.Table, found: pa.Table, *, name: str) -> pa.Table:
    for column in found.column_names:
        wide = f"{name}_{column}"
        if wide in spine.column_names:
            message = (
                f"{where}: its column {column!r} would come as {wide!r}, which is there already. "
                "Rename the lookup or the column."
            )
            raise DataNotFitError(message)
        spine = spine.append_column(wide, found.column(column))
    return spine
