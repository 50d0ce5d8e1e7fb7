"""Which of the rows that were read are new, and which replace an old one. Pure: tables in, tables out."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

_ROW = "_row"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a read adds: `rows` are the new ones and the replacing ones.

    `twice` counts keys that the read had more than once with different contents; the last was taken.
    """

    rows: pa.Table
    new: int
    corrected: int
    twice: int = 0


def by_key(
    given: pa.Table, stored: pads.Dataset | None, *, key: Sequence[str], newest_by: Sequence[str]
) -> Changes:
    """Compare by key and content: unseen keys are new, the same key with other values replaces."""
    with duckdb.connect() as engine:
        engine.register("given", _numbered(given))
        engine.execute(_last_of_each(given.column_names, key=key, newest_by=newest_by))
        twice = _number(engine, _twice(given.column_names, key=key))
        if stored is None:
            taken = _rows(engine, f"SELECT {_ROW} FROM last")
            return Changes(rows=given.take(taken), new=len(taken), corrected=0, twice=twice)
        engine.register("stored", stored)
        new = _rows(engine, f"SELECT {_ROW} FROM last ANTI JOIN stored USING ({_list(key)})")
        unlike = _unlike(given.column_names, stored.schema.names, key=key)
        corrected = _rows(engine, _differing("last", "stored", unlike=unlike, key=key))
    taken = pc.sort_indices(pa.concat_arrays([new, corrected]))
    both = pa.concat_arrays([new, corrected]).take(taken)
    return Changes(rows=given.take(both), new=len(new), corrected=len(corrected), twice=twice)


def after(given: pa.Table, *, column: str, mark: object | None) -> Changes:
    """Take the rows whose cursor is past the mark."""
    kept = given if mark is None else given.filter(pc.greater(given[column], pa.scalar(mark)))
    return Changes(rows=kept, new=kept.num_rows, corrected=0)


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
