"""Incidents: what is wrong with a model, since when, and whether people were told."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mlops_dagster.stores.database import Database
from mlops_dagster.stores.operations_rows import insert, of
from mlops_dagster.stores.operations_schema import incidents


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One thing that is or was wrong. `told` is what people were told last: nothing, open or over."""

    id: int
    model: str
    segment: str
    kind: str
    because: str
    opened_at: datetime
    closed_at: datetime | None
    told: str


@dataclass(frozen=True, slots=True)
class Incidents:
    """Keeps at most one open incident of a kind and model."""

    database: Database

    def open(self, model: str, segment: str, kind: str, *, because: str, at: datetime) -> None:
        """Note that something is wrong; one that is open already gets the newest sentence."""
        address = {"model": model, "segment": segment, "kind": kind}
        with self.database.writing(alone="mlops_incidents") as connection:
            known = connection.execute(
                incidents.update().where(*self._open(model, segment, kind)).values(because=because)
            )
            if known.rowcount == 0:
                connection.execute(
                    insert(connection, incidents).values(
                        **address, because=because, opened_at=at, closed_at=None, told=""
                    )
                )

    def close(self, model: str, segment: str, kind: str, *, because: str, at: datetime) -> None:
        """Note that it is over, if it was open."""
        with self.database.writing(alone="mlops_incidents") as connection:
            connection.execute(
                incidents.update()
                .where(*self._open(model, segment, kind))
                .values(because=because, closed_at=at)
            )

    def told(self, incident: Incident, *, state: str) -> None:
        """Note that people were told."""
        with self.database.writing() as connection:
            row = incidents.update().where(incidents.c.id == incident.id)
            connection.execute(row.values(told=state))

    def all(self, model: str, segment: str, *, limit: int = 50) -> list[Incident]:
        """List incidents, newest first."""
        chosen = sa.select(incidents).where(*of(incidents, model, segment))
        with self.database.reading() as connection:
            rows = connection.execute(chosen.order_by(incidents.c.id.desc()).limit(limit))
            return [Incident(**row) for row in rows.mappings()]

    def untold(self, model: str, segment: str) -> list[Incident]:
        """List, oldest first, what people do not know: one that began, or that they think still lasts.

        One that was over before anybody was told is nothing to tell.
        """
        began = (incidents.c.closed_at.is_(None)) & (incidents.c.told == "")
        ended = (incidents.c.closed_at.is_not(None)) & (incidents.c.told == "open")
        chosen = sa.select(incidents).where(*of(incidents, model, segment), began | ended)
        with self.database.reading() as connection:
            rows = connection.execute(chosen.order_by(incidents.c.id))
            return [Incident(**row) for row in rows.mappings()]

    def _open(self, model: str, segment: str, kind: str) -> tuple[sa.ColumnElement[bool], ...]:
        same = incidents.c.kind == kind
        return *of(incidents, model, segment), same, incidents.c.closed_at.is_(None)
