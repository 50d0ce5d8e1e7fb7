"""How many of the answers have a label, window by window. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_dagster.monitor.page.axis import Axis, Tick, in_order, starts
from mlops_dagster.monitor.page.facts import Facts
from mlops_dagster.monitor.page.series import chosen_rows
from mlops_dagster.monitor.page.shapes import Bar, bar_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The share of the answers of each window whose label is known."""

    summary: str
    axis_ticks: Sequence[Tick]
    bars: Sequence[Bar]


def coverage(facts: Facts) -> Coverage | None:
    """Draw how many answers have a label; None when no answer was measured."""
    rows = chosen_rows(facts, (one for one in facts.history if one["kind"] == "labelled"))
    if not rows:
        return None
    axis = Axis(windows=in_order(rows))
    bars = []
    for window, row in rows.items():
        share = float(row["coverage"] or 0.0)
        told = f"{row['labels']:,} of {row['answers']:,} answers have a label ({share:.0%})"
        title = f"{starts(window)}: {told}, as of {row['as_of']:%Y-%m-%d}"
        bars.append(bar_of(axis, window, "label", share=share, title=title))
    newest = axis.windows[-1]
    one = rows[newest]
    total = sum(row["answers"] or 0 for row in rows.values())
    known = sum(row["labels"] or 0 for row in rows.values())
    return Coverage(
        summary=(
            f"{known:,} of {total:,} answers in {len(rows)} windows have a label; in the newest, "
            f"{newest.label}, {one['labels']:,} of {one['answers']:,} ({one['coverage']:.0%})."
        ),
        axis_ticks=axis.ticks(),
        bars=bars,
    )
