"""Decides what a read changes in a table. Nothing is written here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.dataset as pads

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.ingest import changes, cursor
from mlops_dagster.ingest.changes import Changes
from mlops_dagster.ingest.columns import (
    Fitted,
    fit,
    need_columns,
    need_stored_columns,
    need_target,
    refuse_nulls,
)
from mlops_dagster.ingest.refused import Refused, refused_before
from mlops_dagster.ingest.zones import Zone, is_zoned_text, mixed_zones, read_zones, write_zones
from mlops_dagster.stores.content import digest_of_table, is_current
from mlops_dagster.stores.tables import BATCH, TableStore, TableVersion

READ_ROWS = "read_rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One table that a source is brought into, and what the declaration says of its columns.

    `whole`: each read gives all that the source has. `without` are the columns that are not taken. `label`
    is the model's target.
    """

    table: str
    where: str
    key: tuple[str, ...]
    needed: tuple[str | None, ...]
    times: frozenset[str]
    whole: bool
    cursor: str | None = None
    event_time: str | None = None
    label: str | None = None
    untyped: Mapping[str, pa.DataType] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    quarantine: str | None = None

    @property
    def fixed(self) -> frozenset[str]:
        """The columns that keep their type: they name rows, order them, or are classes."""
        classes = [name for name, kind in self.untyped.items() if not pa.types.is_floating(kind)]
        return frozenset([*self.key, *classes, *([self.cursor] if self.cursor else [])])

    @property
    def mode(self) -> str:
        """How new rows meet the old ones: `keyed`, `appended`, or as a whole new `snapshot`."""
        return "keyed" if self.key else "appended" if self.cursor else "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a source would change in a table; nothing is written yet.

    `read_before` is how many rows the source gave when the table changed last, if that was a whole read.
    `new_columns` are those that the table has not yet; `widened` get decimals for the first time.
    `zones` are how times came, and `mixed` says what is wrong with that.
    """

    target: Target
    before: TableVersion | None
    found: Changes
    zones: Mapping[str, Zone] = field(default_factory=dict)
    mixed: Mapping[str, str] = field(default_factory=dict)
    read: int = 0
    read_before: int | None = None
    new_columns: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()
    state: Mapping[str, str] = field(default_factory=dict)


def make_plan(
    tables: TableStore, target: Target, *, before: TableVersion | None, given: pa.Table
) -> Plan:
    """Compare what was read with the table. Raises: DataNotFitError."""
    if not given.num_rows:
        return _nothing(target, before)
    given = given.drop_columns([one for one in target.without if one in given.column_names])
    kept = _own_columns(before.schema) if before else []
    if target.label:
        need_target(target.label, given.column_names, stored=kept, where=target.where)
    need_columns(target.needed, given.column_names, where=target.where, stored=kept)
    need_stored_columns(
        [one for one in kept if one not in target.without],
        given.column_names,
        where=target.where,
        lookup=target.quarantine is None,
    )
    fitted = fit(
        given,
        stored=before.schema if before else None,
        times=target.times | _cursor_as_time(target, before, given),
        untyped=target.untyped,
        where=target.where,
        fixed=target.fixed,
    )
    found, state = _compare(tables, target, before=before, fitted=fitted)
    known = read_zones(before.state) if before else {}
    return Plan(
        target=target,
        before=before,
        found=found,
        zones=fitted.zones,
        mixed=mixed_zones(known, fitted.zones, is_news=bool(found.parts)),
        read=given.num_rows,
        read_before=_read_before(target, before),
        new_columns=tuple(one for one in given.column_names if before and one not in kept),
        widened=fitted.widened,
        state={
            **state,
            **write_zones(known, fitted.zones),
            **({READ_ROWS: str(given.num_rows)} if target.whole else {}),
        },
    )


def read_mark(target: Target, before: TableVersion | None) -> cursor.CursorValue | None:
    """Read the cursor's mark as a value of its column's type."""
    if before is None or target.cursor is None or target.cursor not in before.schema.names:
        return None
    text = before.state.get("cursor")
    return cursor.read_mark(text, before.schema.field(target.cursor).type) if text else None


def _cursor_as_time(target: Target, before: TableVersion | None, given: pa.Table) -> frozenset[str]:
    """Take a cursor of texts with time zones as times: as texts they do not sort by time."""
    if target.cursor is None or not is_zoned_text(given[target.cursor]):
        return frozenset()
    stored = before.schema.field(target.cursor).type if before else None
    if stored is not None and pa.types.is_string(stored):
        message = (
            f"{target.where}: the cursor {target.cursor!r} holds times as text with a time zone and is "
            "kept as text, which does not sort by time. Declare it as event_time of a new model, or "
            "give another cursor."
        )
        raise DataNotFitError(message)
    return frozenset([target.cursor])


def _read_before(target: Target, before: TableVersion | None) -> int | None:
    if before is None or not target.whole:
        return None
    told = before.state.get(READ_ROWS)
    if told is None:
        return before.ref.rows if target.mode == "snapshot" else None
    return int(told)


def _nothing(target: Target, before: TableVersion | None) -> Plan:
    if before is None:
        message = (
            f"{target.where}: the source is empty, so the table cannot be made. "
            "Check the path, table or query that it reads."
        )
        raise DataNotFitError(message)
    if target.whole:
        had = _read_before(target, before) or before.ref.rows
        message = (
            f"{target.where}: the source is empty now, and gave {had} rows before. Nothing was changed. "
            "Check the path, table or query that it reads."
        )
        raise DataNotFitError(message)
    none = before.schema.empty_table().select(_own_columns(before.schema))
    return Plan(target=target, before=before, found=Changes(rows=none, new=0, corrected=0))


def _own_columns(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name != BATCH]


def _compare(
    tables: TableStore, target: Target, *, before: TableVersion | None, fitted: Fitted
) -> tuple[Changes, dict[str, str]]:
    rows, where = fitted.rows, target.where
    if target.mode == "keyed":
        refuse_nulls(rows, target.key, where=where, role="key")
        return _by_key(tables, target, before, rows), _moved_mark(target, before, rows)
    if target.cursor is not None:
        refuse_nulls(rows, [target.cursor], where=where, role="cursor")
        found = _appended(tables, target, before, rows)
        return found, _moved_mark(target, before, rows)
    return _whole(tables, before, rows)


def _by_key(
    tables: TableStore, target: Target, before: TableVersion | None, rows: pa.Table
) -> Changes:
    newest_by = [one for one in (target.cursor, target.event_time) if one]
    if before is None:
        return changes.first(rows, key=target.key, newest_by=newest_by)
    return changes.by_key(
        rows,
        tables.dataset(target.table, version=before.ref.version),
        key=target.key,
        newest_by=newest_by,
        refused=(
            refused_before(tables, target.quarantine, before, key=target.key)
            if target.quarantine
            else Refused()
        ),
        whole=target.whole,
        left=[one for one in target.without if one in before.schema.names],
    )


def _appended(
    tables: TableStore, target: Target, before: TableVersion | None, rows: pa.Table
) -> Changes:
    mark = read_mark(target, before)
    if before is None or mark is None or target.cursor is None:
        return Changes(rows=rows, new=rows.num_rows, corrected=0)
    stored = tables.dataset(target.table, version=before.ref.version)
    at_mark = stored.to_table(filter=pads.field(target.cursor) == pa.scalar(mark))
    known = at_mark.drop_columns([BATCH])
    return changes.after(rows, known, column=target.cursor, mark=mark)


def _whole(
    tables: TableStore, before: TableVersion | None, rows: pa.Table
) -> tuple[Changes, dict[str, str]]:
    digest = digest_of_table(rows)
    if before is not None:
        known = before.state.get("source_digest", "")
        if known and not is_current(known):
            # An earlier encoding told it: the rows are asked instead.
            known = digest_of_table(tables.read(before.ref.name))
        # The source's digest, not the table's: mended rows may have been added to the table.
        if known == digest:
            return Changes(rows=rows.slice(0, 0), new=0, corrected=0), {}
    return Changes(rows=rows, new=rows.num_rows, corrected=0), {"source_digest": digest}


def _moved_mark(target: Target, before: TableVersion | None, rows: pa.Table) -> dict[str, str]:
    if target.cursor is None or (top := cursor.highest(rows, target.cursor)) is None:
        return {}
    old = read_mark(target, before)
    higher = top if old is None else max(old, top)
    return {"cursor": cursor.write_mark(higher)}
