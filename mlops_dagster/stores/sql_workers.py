"""What the endpoint's workers tell of themselves, in the operations database."""

from datetime import datetime

import sqlalchemy as sa

from mlops_dagster.stores import operations_schema as schema
from mlops_dagster.stores.database import Database
from mlops_dagster.stores.operations import Worker
from mlops_dagster.stores.operations_rows import insert, of
from mlops_dagster.stores.traffic import read_traffic


class SqlWorkers:
    """One row for each worker that answers."""

    _database: Database

    def beat(self, worker: Worker) -> None:
        """Keep what a worker tells of itself, in place of what it told before."""
        names = [name for name in worker.__slots__ if name != "traffic"]
        values = {name: getattr(worker, name) for name in names}
        values["traffic"] = [one.written() for one in worker.traffic]
        with self._database.writing() as connection:
            told = insert(connection, schema.workers).values(**values)
            connection.execute(
                told.on_conflict_do_update(index_elements=schema.workers.primary_key, set_=values)
            )

    def leave(self, worker: str) -> None:
        """Forget a worker that ended."""
        with self._database.writing() as connection:
            connection.execute(schema.workers.delete().where(schema.workers.c.worker == worker))

    def workers(self, model: str, segment: str, *, since: datetime) -> list[Worker]:
        """List the workers that told of themselves since an instant."""
        chosen = sa.select(schema.workers).where(
            *of(schema.workers, model, segment), schema.workers.c.seen_at >= since
        )
        with self._database.reading() as connection:
            rows = connection.execute(chosen.order_by(schema.workers.c.worker)).mappings()
            return [
                Worker(**dict(row) | {"traffic": tuple(map(read_traffic, row["traffic"]))})
                for row in rows
            ]
