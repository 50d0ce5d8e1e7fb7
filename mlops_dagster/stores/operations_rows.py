"""How findings, decisions and moves are written to rows and read from them."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mlops_dagster.records import Decision, Finding, Move, Outcome
from mlops_dagster.stores import operations_schema as schema
from mlops_dagster.stores.operations import FindingFilter

AUTHORS = 20
"""As many of a model's newest decisions are looked through for the author's own."""


def of(table: sa.Table, model: str, segment: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Choose the rows of one model and segment."""
    return table.c.model == model, table.c.segment == segment


def insert(connection: sa.Connection, table: sa.Table) -> postgresql.Insert:
    """Start an insert that may say what to do on a conflict; both databases write it alike."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return cast(postgresql.Insert, dialect.insert(table))


def put_finding(connection: sa.Connection, finding: Finding) -> None:
    """Keep a finding in place of the one of the same window."""
    table = schema.findings
    connection.execute(
        table.delete().where(
            *of(table, finding.model, finding.segment),
            table.c.signal == finding.signal,
            table.c.subject == finding.subject,
            table.c.window_start.is_not_distinct_from(finding.window_start),
            table.c.window_end.is_not_distinct_from(finding.window_end),
        )
    )
    values = dataclasses.asdict(finding)
    # SQLite keeps NaN as null; so does every database here.
    numbers = {name: _number(values[name]) for name in ("value", "limit")}
    connection.execute(table.insert().values(**values | numbers))


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def chosen_findings(model: str, segment: str, only: FindingFilter) -> sa.Select[Any]:
    """Choose findings of one model."""
    table = schema.findings
    chosen = sa.select(table).where(*of(table, model, segment))
    if only.signals:
        chosen = chosen.where(table.c.signal.in_(sorted(only.signals)))
    if only.outcome is not None:
        chosen = chosen.where(table.c.outcome == only.outcome)
    if only.champion is not None:
        chosen = chosen.where(table.c.champion_version == only.champion)
    if only.since is not None:
        chosen = chosen.where(table.c.at > only.since)
    return chosen


def read_finding(row: sa.RowMapping) -> tuple[int, Finding]:
    """Read a finding and its number."""
    values = dict(row)
    number = int(values.pop("id"))
    return number, Finding(**values | {"outcome": Outcome(values["outcome"])})


def read_decision(row: sa.RowMapping) -> Decision:
    """Read a decision."""
    values = dict(row)
    del values["id"]
    return Decision(**values)


def newest_of_author(newest_first: Iterable[sa.Row[Any]], decision: Decision) -> sa.Row[Any] | None:
    """Find the last decision of the one who decides now."""
    by = decision.evidence.get("by")
    return next((row for row in newest_first if row.evidence.get("by") == by), None)


def same_no(newest: sa.Row[Any], decision: Decision) -> bool:
    """Tell whether a decision is the newest one again, and a no."""
    said = (newest.action, newest.reason, newest.because)
    return said == ("none", decision.reason, decision.because) and decision.action == "none"


def sentence(opened: Sequence[Move]) -> str:
    """Tell of an open move, which may have ended a moment ago."""
    if not opened:
        return "or was a moment ago"
    move = opened[0]
    return f"{move.kind} {move.id} to version {move.to_version} by {move.who} at {move.at:%F %T}"
