"""Which of the rows that were read are new, and which replace an old one. Pure: tables in, tables out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from mlops_dagster.duck import connect
from mlops_dagster.ingest.refused import Refused
from mlops_dagster.stores.row_text import parts_of, to_text, with_whole_numbers
from mlops_dagster.stores.tables import BATCH

_ROW = "_row"
_NONE = pa.table({_ROW: pa.array([], pa.int64()), BATCH: pa.array([], pa.int64())})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a read adds: `rows` are the new ones and the replacing ones.

    `again` are the rows of batches that were refused and whose bad rows have changed at the source:
    each batch is judged once more, as it is now. `twice` counts keys that the read had more than once
    with different contents; the last was taken. `mended` counts rows that were refused before, and that
    a mended row stands in for.
    """

    rows: pa.Table
    new: int
    corrected: int
    again: tuple[pa.Table, ...] = ()
    twice: int = 0
    mended: int = 0

    @property
    def parts(self) -> tuple[pa.Table, ...]:
        """The rows by batch."""
        return tuple(one for one in (self.rows, *self.again) if one.num_rows)


def first(given: pa.Table, *, key: Sequence[str], newest_by: Sequence[str]) -> Changes:
    """Take the last row of each key."""
    with connect() as engine:
        twice = _take_last(engine, given, key=key, newest_by=newest_by)
        taken = _rows(engine, f"SELECT {_ROW} FROM last")
    return Changes(rows=given.take(taken), new=len(taken), corrected=0, twice=twice)


def by_key(
    given: pa.Table,
    stored: pads.Dataset,
    *,
    key: Sequence[str],
    newest_by: Sequence[str],
    refused: Refused,
    whole: bool,
    left: Sequence[str] = (),
) -> Changes:
    """Compare by key and content: unseen keys are new, the same key with other values replaces.

    `whole`: the read has all that the source has, so that a key which is not there is gone. `left` are
    stored columns that are taken no more: what a row has there stays, also when the row is replaced.
    """
    given = _with_left(given, stored, key=key, left=left)
    with connect() as engine:
        twice = _take_last(engine, given, key=key, newest_by=newest_by)
        engine.register("stored", stored)
        new = _rows(engine, f"SELECT {_ROW} FROM last ANTI JOIN stored USING ({_list(key)})")
        unlike = _unlike(given.column_names, stored.schema.names, key=key)
        differing = _rows(engine, _differing("last", "stored", unlike=unlike, key=key))
        corrected = _unmended(given, differing, refused, key=key)
        again = _again(engine, corrected, refused, key=key, whole=whole)
    left_out = differing.filter(pc.invert(pc.is_in(differing, value_set=corrected)))
    again = again.filter(pc.invert(pc.is_in(again[_ROW], value_set=left_out)))
    alone = corrected.filter(pc.invert(pc.is_in(corrected, value_set=again[_ROW])))
    both = pa.concat_arrays([new, alone])
    return Changes(
        rows=given.take(both.take(pc.sort_indices(both))),
        new=len(new),
        corrected=len(corrected),
        again=tuple(
            given.take(again.filter(pc.equal(again[BATCH], batch))[_ROW])
            for batch in sorted(set(again[BATCH].to_pylist()))
        ),
        twice=twice,
        mended=len(left_out),
    )


def _with_left(
    given: pa.Table, stored: pads.Dataset, *, key: Sequence[str], left: Sequence[str]
) -> pa.Table:
    """Give rows what their stored selves have in the columns `left`; unseen keys have null there."""
    if not left:
        return given
    known = stored.to_table(columns=[*key, *left])
    with connect() as engine:
        engine.register("given", _numbered(given.select(list(key))))
        engine.register("known", _numbered(known.select(list(key))))
        # A table that was made without a key may have one twice.
        places = engine.sql(
            f"""SELECT max(known.{_ROW}) AS {_ROW} FROM given LEFT JOIN known USING ({_list(key)})
            GROUP BY given.{_ROW} ORDER BY given.{_ROW}"""
        ).to_arrow_table()
    kept = known.select(list(left)).take(places[_ROW])
    for name in left:
        given = given.append_column(name, kept[name])
    return given


def _unmended(
    given: pa.Table, differing: pa.Array, refused: Refused, *, key: Sequence[str]
) -> pa.Array:
    """Leave out the rows that are as they were refused, since mended ones were given for them."""
    if not len(differing) or not len(refused.mended):
        return differing
    # To write whole rows as text is slow, so only those whose key was mended are compared.
    keys = pa.array(to_text(given.select(list(key)).take(differing)), pa.string())
    known = pa.array(parts_of(refused.mended.to_pylist(), key), pa.string())
    suspects = differing.filter(pc.is_in(keys, value_set=known))
    texts = pa.array(with_whole_numbers(to_text(given.take(suspects))), pa.string())
    before = pa.array(with_whole_numbers(refused.mended.to_pylist()), pa.string())
    mended = suspects.filter(pc.is_in(texts, value_set=before))
    return differing.filter(pc.invert(pc.is_in(differing, value_set=mended)))


def _again(
    engine: duckdb.DuckDBPyConnection,
    corrected: pa.Array,
    refused: Refused,
    *,
    key: Sequence[str],
    whole: bool,
) -> pa.Table:
    """Find the rows of refused batches whose bad rows are no more as they were, with their batch."""
    if not refused.batches:
        return _NONE
    engine.register("changed", pa.table({_ROW: corrected}))
    engine.register("bad", refused.bad)
    batches = ", ".join(map(str, refused.batches))
    same = " AND ".join(f"s.{_quote(name)} = bad.{_quote(name)}" for name in key)
    gone = f"OR l.{_ROW} IS NULL" if whole else ""
    engine.execute(
        f"""CREATE TEMP TABLE standing AS
        SELECT s.{BATCH}, l.{_ROW}, bad.{BATCH} IS NOT NULL AS is_bad,
               c.{_ROW} IS NOT NULL {gone} AS moved
        FROM stored s LEFT JOIN last l USING ({_list(key)})
        LEFT JOIN bad ON {same} AND s.{BATCH} = bad.{BATCH}
        LEFT JOIN changed c ON c.{_ROW} = l.{_ROW}
        WHERE s.{BATCH} IN ({batches})"""
    )
    # A batch that no row of its own broke was refused for what it is as a whole.
    judged_again = f"""SELECT {BATCH} FROM standing GROUP BY {BATCH}
        HAVING CASE WHEN {BATCH} IN (SELECT {BATCH} FROM bad)
        THEN count(*) FILTER (is_bad AND NOT moved)
             < (SELECT count(*) FROM bad WHERE bad.{BATCH} = standing.{BATCH})
        ELSE bool_or(moved) END"""
    found: pa.Table = engine.sql(
        f"SELECT {_ROW}, {BATCH} FROM standing WHERE {_ROW} IS NOT NULL AND {BATCH} IN ({judged_again})"
    ).to_arrow_table()
    return found


def after(given: pa.Table, known: pa.Table, *, column: str, mark: object) -> Changes:
    """Take the rows past the mark, and those at it that are not among the `known` ones there.

    Rows that are alike are counted: three where two are known give one. They are compared by the
    columns that both have.
    """
    past = given.filter(pc.greater(given[column], pa.scalar(mark)))
    ties = given.filter(pc.equal(given[column], pa.scalar(mark)))
    both = [name for name in given.column_names if name in known.column_names]
    # A column that gets decimals is written otherwise now: 3.0 for 3.
    alike = known.select(both).cast(given.select(both).schema, safe=False)
    left = Counter(to_text(alike))
    fresh = []
    for text in to_text(ties.select(both)):
        fresh.append(not left[text])
        left[text] -= bool(left[text])
    kept = pa.concat_tables([ties.filter(pa.array(fresh, pa.bool_())), past])
    return Changes(rows=kept, new=kept.num_rows, corrected=0)


def _take_last(
    engine: duckdb.DuckDBPyConnection,
    given: pa.Table,
    *,
    key: Sequence[str],
    newest_by: Sequence[str],
) -> int:
    """Make the table `last` with one row of each key; give how many keys came twice and unlike."""
    engine.register("given", _numbered(given))
    engine.execute(_last_of_each(given.column_names, key=key, newest_by=newest_by))
    return _number(engine, _twice(given.column_names, key=key))


def _numbered(rows: pa.Table) -> pa.Table:
    return rows.append_column(_ROW, pa.array(np.arange(rows.num_rows)))


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(names: Sequence[str]) -> str:
    return ", ".join(_quote(name) for name in names)


def _unlike(names: Sequence[str], others: Sequence[str], *, key: Sequence[str]) -> list[str]:
    """Say when a row differs from its other self; a column that the other never had was null."""
    quoted = {name: _quote(name) for name in names if name not in key}
    return [
        f"one.{q} IS DISTINCT FROM other.{q}" if name in others else f"one.{q} IS NOT NULL"
        for name, q in quoted.items()
    ]


def _last_of_each(names: Sequence[str], *, key: Sequence[str], newest_by: Sequence[str]) -> str:
    order = [f"{_quote(name)} DESC NULLS LAST" for name in newest_by if name not in key]
    ranked = f"row_number() OVER (PARTITION BY {_list(key)} ORDER BY {', '.join([*order, f'{_ROW} DESC'])})"
    return (
        f"CREATE TEMP TABLE last AS SELECT {_list([*names, _ROW])} FROM given QUALIFY {ranked} = 1"
    )


def _twice(names: Sequence[str], *, key: Sequence[str]) -> str:
    differing = _differing("given", "last", unlike=_unlike(names, names, key=key), key=key)
    return f"SELECT count(*) FROM (SELECT DISTINCT {_list(key)} FROM given WHERE {_ROW} IN ({differing}))"


def _differing(one: str, other: str, *, unlike: Sequence[str], key: Sequence[str]) -> str:
    same = " AND ".join(f"one.{_quote(name)} = other.{_quote(name)}" for name in key)
    differ = " OR ".join(unlike) or "false"
    return f"SELECT one.{_ROW} FROM {one} one JOIN {other} other ON {same} WHERE {differ}"


def _rows(engine: duckdb.DuckDBPyConnection, query: str) -> pa.Array:
    found: pa.Table = engine.sql(query).to_arrow_table()
    return found[_ROW].combine_chunks()


def _number(engine: duckdb.DuckDBPyConnection, query: str) -> int:
    [(number,)] = engine.execute(query).fetchall()  # a count is always one row
    return int(number)
