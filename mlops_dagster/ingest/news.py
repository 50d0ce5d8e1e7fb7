"""Says what a read brought, and warns when the source is not what it was. Pure."""

from mlops_dagster.ingest.plan import Plan
from mlops_dagster.records import Check, Outcome, Severity, Shown
from mlops_dagster.stores.described import grouped

SOURCE_AS_BEFORE = "source_as_before"
"""The check of `raw_data`."""


def told(plan: Plan, *, newest: str) -> str:
    """Say in a sentence what the read brought."""
    found = plan.found
    at = f"; newest {newest}" if newest else ""
    twice = (
        f" {grouped(found.twice)} keys came twice with different values; the last one was taken."
        if found.twice
        else ""
    )
    mended = (
        f" {grouped(found.mended)} rows are as they were refused; their mended ones stay."
        if found.mended
        else ""
    )
    if not found.parts:
        return f"Nothing new: {grouped(plan.read)} rows read, all known{at}.{twice}{mended}"
    if plan.target.mode == "snapshot":
        return f"The snapshot was replaced: {grouped(found.new)} rows{at}.{twice}"
    corrected = f", {grouped(found.corrected)} corrected" if found.corrected else ""
    again = sum(one.num_rows for one in found.again)
    waited = f" {grouped(again)} rows of refused batches are judged again." if again else ""
    return f"{grouped(found.new)} new rows{corrected}{at}.{twice}{waited}{mended}"


def judge_source(plan: Plan) -> Check:
    """Warn of new columns, decimals and time zones where none were, and a fall to less than half."""
    mixed = [f"Column {name!r} {said}" for name, said in plan.mixed.items()]
    said = [*_new_columns(plan), *_widened(plan), *mixed, *_fall(plan)]
    shown = {"rows_read": Shown(kind="integer", value=plan.read)}
    if plan.read_before is not None:
        shown["rows_read_before"] = Shown(kind="integer", value=plan.read_before)
    return Check(
        name=SOURCE_AS_BEFORE,
        outcome=Outcome.REFUSED if said else Outcome.PASSED,
        because=" ".join(said)
        or "No new column, none that is written otherwise, and no fall in the number of rows.",
        severity=Severity.WARNING,
        shown=shown,
    )


def _new_columns(plan: Plan) -> list[str]:
    if not plan.found.parts:
        return []
    return [
        f"New column {name!r} at the source: the first training on rows that have it takes it as a "
        "feature. Name it in features.exclude if it is none, or in ingest.without to leave it at the source."
        for name in plan.new_columns
    ]


def _widened(plan: Plan) -> list[str]:
    if not plan.found.parts:
        return []
    return [
        f"Column {name!r} held whole numbers and has decimals now: it is kept as double from here on."
        for name in plan.widened
    ]


def _fall(plan: Plan) -> list[str]:
    before = plan.read_before
    if before is None or plan.read * 2 >= before:
        return []
    gave = f"The source gave {grouped(plan.read)} rows"
    return [f"{gave}, and {grouped(before)} when the table changed last: is it cut off?"]
