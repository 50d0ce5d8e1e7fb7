"""The numbers behind the chart, as a table for those who cannot or will not read a picture. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mlops_dagster.monitor.page.facts import Facts
from mlops_dagster.monitor.page.series import window_of_row

MOST_LINES = 60
MOST_METRICS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberLine:
    """One window of one version and kind."""

    window: str
    version: str
    kind: str
    cells: Sequence[str]
    labels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Lines, newest first, under the metrics' names."""

    names: Sequence[str]
    lines: Sequence[NumberLine]
    left: int


def numbers(facts: Facts) -> Numbers | None:
    """List every metric of the newest windows; None when nothing was measured."""
    known = [one for one in facts.history if one["metric"] and one["value"] is not None]
    if not known:
        return None
    names = sorted({one["metric"] for one in known}, key=lambda name: (name != facts.loss, name))
    names = names[:MOST_METRICS]
    ordered = sorted(known, key=_line_key, reverse=True)
    lines = [_line(list(each), names) for _, each in groupby(ordered, key=_line_key)]
    return Numbers(names=names, lines=lines[:MOST_LINES], left=len(lines[MOST_LINES:]))


def _line_key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["window_start"], row["window_end"], row["model_version"], row["kind"]


def _line(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> NumberLine:
    found = {one["metric"]: one for one in rows}
    one = rows[0]
    return NumberLine(
        window=window_of_row(one).label,
        version=one["model_version"],
        kind=one["kind"],
        cells=[_cell(found[name]) if name in found else "" for name in names],
        labels=f"{one['labels']:,} of {one['answers']:,}",
    )


def _cell(row: dict[str, Any]) -> str:
    if row["kind"] != "estimated":
        return f"{row['value']:.4f}"
    return f"{row['value']:.4f} ({row['low']:.3f} to {row['high']:.3f})"
