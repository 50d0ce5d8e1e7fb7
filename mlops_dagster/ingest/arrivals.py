"""Tells whether a source has something new, without reading it."""

import hashlib

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.ingest import sources
from mlops_dagster.ingest.spec import IngestSpec, LookupSpec


def source_state(model: ModelIdentity, spec: IngestSpec) -> str | None:
    """Fingerprint the source and its lookups; None when the source cannot tell.

    Raises: DataNotFitError or StoreError when the source is not there.
    """
    where = f"{model.address}/raw_data"
    own = sources.state(spec.source, cursor=spec.cursor, target=model.target, where=where)
    if own is None:
        return None
    told = [own] + [
        f"{name}={_lookup_state(lookup, where=f'{where}: lookup {name}')}"
        for name, lookup in sorted(spec.lookups.items())
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _lookup_state(lookup: LookupSpec, *, where: str) -> str | None:
    return sources.state(lookup, cursor=lookup.known_at or lookup.event_time, where=where)
