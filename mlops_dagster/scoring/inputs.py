"""Make what a model is given: rows, and what the second tables knew at the rows' own times."""

from collections.abc import Mapping

import pyarrow as pa

from mlops_dagster.compute.local import Compute
from mlops_dagster.compute.point_in_time import join_as_known
from mlops_dagster.declaration import LookupJoin
from mlops_dagster.records import TableRef
from mlops_dagster.stores.tables import TableStore


def join_lookups(
    rows: pa.Table,
    *,
    tables: TableStore,
    compute: Compute,
    lookups: Mapping[str, TableRef],
    joins: Mapping[str, LookupJoin],
    at: str | None,
) -> pa.Table:
    """Add the columns of each second table, at the exact version given, as `<name>_<column>`."""
    joined = rows
    for name, join in joins.items():
        ref = lookups[name]
        joined = join_as_known(
            compute,
            joined,
            tables.read(ref.name, version=ref.version),
            name=name,
            key=join.key,
            at=at or "",
            event_time=join.event_time,
            known_at=join.known_at,
            ttl=join.ttl,
        )
    return joined
