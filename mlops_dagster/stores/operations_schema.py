"""The tables of the operations database."""

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

VERSION = 3

metadata = sa.MetaData()


class Instant(sa.TypeDecorator[datetime]):
    """A moment, kept and given back in UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a time without a zone: whose noon it is cannot be known later."""
        if value is not None and value.tzinfo is None:
            message = f"{value} has no time zone; write it as {value}+00:00"
            raise ValueError(message)
        return value and value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """SQLite forgets the zone."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Json(sa.TypeDecorator[Any]):
    """JSON as text: PostgreSQL's own type refuses NaN."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:  # noqa: ARG002
        """Write it."""
        return json.dumps(value, sort_keys=True)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        """Read it."""
        return json.loads(value)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=options.pop("nullable", False), **options)


def _model() -> tuple[sa.Column[str], sa.Column[str]]:
    return _text("model"), _text("segment")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True, autoincrement=True)


schema_version = sa.Table(
    "mlops_schema", metadata, sa.Column("version", sa.Integer, primary_key=True)
)

claims = sa.Table(
    "mlops_claims",
    metadata,
    _text("claim", primary_key=True),
    _text("name", index=True),
    _text("holder"),
    _text("host"),
    sa.Column("pid", sa.Integer, nullable=False),
    _text("started"),
    sa.Column("expires_at", Instant, nullable=False),
)

pointers = sa.Table(
    "mlops_pointers",
    metadata,
    *_model(),
    _text("noun"),
    _text("path"),
    sa.Column("serial", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("model", "segment", "noun"),
)

works = sa.Table(
    "mlops_works",
    metadata,
    *_model(),
    _text("noun"),
    _text("fingerprint"),
    _text("path"),
    sa.PrimaryKeyConstraint("model", "segment", "noun", "fingerprint"),
)

# Numbers are never given twice, or a reader's cursor would pass over a replaced finding.
findings = sa.Table(
    "mlops_findings",
    metadata,
    _id(),
    *_model(),
    _text("signal"),
    _text("subject"),
    _text("outcome"),
    sa.Column("value", sa.Float(53)),
    sa.Column("limit", sa.Float(53)),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("window_start", Instant),
    sa.Column("window_end", Instant),
    sa.Column("at", Instant, nullable=False),
    _text("because"),
    _text("champion_version", nullable=True),
    _text("severity", server_default=""),
    sa.Index("mlops_findings_of", "model", "segment", "id"),
    sa.Index("mlops_findings_since", "model", "segment", "at"),
    sa.Index("mlops_findings_champion", "model", "segment", "champion_version", "id"),
    sqlite_autoincrement=True,
)

decisions = sa.Table(
    "mlops_decisions",
    metadata,
    _id(),
    *_model(),
    _text("action"),
    _text("reason"),
    _text("because"),
    sa.Column("at", Instant, nullable=False),
    _text("run_key"),
    sa.Column("evidence", Json, nullable=False),
    sa.Index("mlops_decisions_of", "model", "segment", "id"),
    sa.Index("mlops_decisions_by_time", "model", "segment", "at", "id"),
    sqlite_autoincrement=True,
)

moves = sa.Table(
    "mlops_moves",
    metadata,
    _id(),
    *_model(),
    _text("registered_name"),
    _text("from_version", nullable=True),
    _text("to_version", nullable=True),
    _text("who"),
    _text("why"),
    _text("kind"),
    _text("state"),
    sa.Column("at", Instant, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.Index("mlops_moves_of", "model", "segment", "id"),
    sqlite_autoincrement=True,
)

incidents = sa.Table(
    "mlops_incidents",
    metadata,
    _id(),
    *_model(),
    _text("kind"),
    _text("because"),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("closed_at", Instant),
    _text("told"),
    sa.Index("mlops_incidents_of", "model", "segment", "id"),
    sqlite_autoincrement=True,
)

workers = sa.Table(
    "mlops_workers",
    metadata,
    _text("worker", primary_key=True),
    *_model(),
    _text("address"),
    _text("version"),
    _text("problem"),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("traffic", Json, nullable=False),
)

sa.Index(
    "mlops_one_open_move",
    moves.c.model,
    moves.c.segment,
    unique=True,
    sqlite_where=moves.c.state == "open",
    postgresql_where=moves.c.state == "open",
)


@sa.event.listens_for(metadata, "after_create")
def _complete_tables(_metadata: sa.MetaData, connection: sa.Connection, **_told: Any) -> None:
    """Make the columns and indexes that a table of an older format lacks."""
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                written = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {written}")
        for index in table.indexes:
            index.create(connection, checkfirst=True)
