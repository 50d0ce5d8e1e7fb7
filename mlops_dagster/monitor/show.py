"""What people see of a look at a model: counts, the worst columns, a picture."""

import base64
from collections.abc import Sequence

from mlops_dagster.monitor.drift import ColumnVerdict
from mlops_dagster.monitor.evidence import Evidence
from mlops_dagster.monitor.looks import Look
from mlops_dagster.monitor.picture import draw
from mlops_dagster.profiles.columns import ColumnProfile, TableProfile
from mlops_dagster.profiles.reference import ReferenceProfile
from mlops_dagster.records import Finding, Outcome, Shown

MOST_ROWS = 12
PANELS = 4


def shown_counts(findings: Sequence[Finding], looks: Sequence[Look]) -> dict[str, Shown]:
    """Count what was done by this look; what stands from looks before is in the checks."""
    alarms = sum(one.outcome is Outcome.REFUSED for one in findings)
    shown = {
        "windows": Shown(kind="integer", value=len(looks)),
        "rows_judged": Shown(kind="integer", value=sum(look.rows for look in looks)),
        "new_findings": Shown(kind="integer", value=len(findings)),
        "new_alarms": Shown(kind="integer", value=alarms),
    }
    if looks:
        span = f"{looks[0].window.label} … {looks[-1].window.label}"
        shown["judged"] = Shown(kind="text", value=span)
    return shown


def worst_columns(looks: Sequence[Look]) -> str:
    """Draw a table of the columns nearest to their limits or beyond."""
    rows = [(look, one) for look in looks for one in (*look.features, *look.predictions)]
    rows = sorted(rows, key=lambda pair: -pair[1].excess)[:MOST_ROWS]
    head = (
        "| column | window | measure | value | limit | n | PSI | JS | KS | chi2 p | verdict |\n"
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---|\n"
    )
    return head + "\n".join(_line(look, one) for look, one in rows)


def picture(reference: ReferenceProfile, seen: Sequence[tuple[Look, Evidence]]) -> dict[str, Shown]:
    """Draw the reference against now for the worst columns of the worst window."""
    judged = [pair for pair in seen if _worst(pair[0])]
    if not judged:
        return {}
    look, evidence = max(judged, key=lambda pair: _worst(pair[0])[0].excess)
    panels = []
    for verdict in _worst(look)[:PANELS]:
        before, now = _profiles(reference, evidence, look, verdict)
        panels.append((verdict, before, now))
    image = draw(panels, title=look.window.label)
    text = base64.b64encode(image).decode()
    return {"picture": Shown(kind="markdown", value=f"![drift](data:image/png;base64,{text})")}


def _worst(look: Look) -> list[ColumnVerdict]:
    judged = [one for one in (*look.features, *look.predictions) if one.value is not None]
    values = [one for one in judged if not one.of_nulls]
    return sorted(values, key=lambda one: -one.excess)


def _profiles(
    reference: ReferenceProfile, evidence: Evidence, look: Look, verdict: ColumnVerdict
) -> tuple[ColumnProfile, ColumnProfile]:
    sides: tuple[TableProfile, TableProfile] = (reference.features, evidence.features)
    if verdict in look.predictions:
        sides = (reference.predictions, evidence.predictions)
    return sides[0].columns[verdict.column], sides[1].columns[verdict.column]


def _line(look: Look, one: ColumnVerdict) -> str:
    numbers = (one.value, one.limit)
    effects = (one.psi, one.js, one.ks, one.chi2_p)
    verdict = f"{one.severity} drift" if one.severity else one.outcome.value.replace("_", " ")
    measure = {"w1_sd": "W1 / sd", "js": "JS", "none": ""}[one.measure]
    name = one.column.replace("|", "\\|")
    cells = (
        name,
        look.window.label,
        measure,
        *map(_number, numbers),
        f"{one.rows:,}",
        *map(_number, effects),
        verdict,
    )
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
