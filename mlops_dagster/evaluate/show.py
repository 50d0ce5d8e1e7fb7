"""Tables of a verdict, in markdown."""

import math

from mlops_dagster.evaluate.rules import Scores


def comparison(scores: Scores) -> str:
    """Lay the candidate beside the champion and the baselines."""
    version = f"champion v{scores.champion_version}" if scores.champion_version else "champion"
    lines = [f"| metric | candidate | {version} | linear | dummy |", "|---|---|---|---|---|"]
    for name, value in scores.candidate.items():
        others = [
            (one or {}).get(name, math.nan)
            for one in (scores.champion, scores.simple, scores.dummy)
        ]
        lines.append(
            f"| {name} | {_number(value)} | {' | '.join(_number(one) for one in others)} |"
        )
    return "\n".join(lines)


def slices_table(scores: Scores) -> str:
    """List the largest values of each slice with their rows."""
    if not scores.slices:
        return "No slices declared."
    names = list(scores.candidate)
    lines = [f"| slice | rows | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for one in scores.largest_slices:
        values = " | ".join(_number(one.metrics.get(name, math.nan)) for name in names)
        lines.append(f"| {one.column}={one.value} | {one.rows:,} | {values} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
