"""Writes the page. Jinja escapes every text: names and labels come from the user's data."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from mlops_dagster.metrics.estimated import BLIND
from mlops_dagster.monitor.page.coverage import coverage
from mlops_dagster.monitor.page.facts import Facts
from mlops_dagster.monitor.page.heat import heat_map
from mlops_dagster.monitor.page.numbers import numbers
from mlops_dagster.monitor.page.panels import panels
from mlops_dagster.monitor.page.state import lines_of, state_of
from mlops_dagster.monitor.page.story import story
from mlops_dagster.monitor.page.timeline import timeline
from mlops_dagster.stores.described import moment

_HERE = Path(__file__).parent


def columns_of(page: str, *, version: str) -> str:
    """Find a version's worst columns on a page that was drawn before, as they stand there, if they do."""
    _, begin, rest = page.partition(f"<!-- columns of version {version} -->")
    columns, end, _ = rest.partition("<!-- end of columns -->")
    return begin + columns + end if end else ""


def draw_page(facts: Facts, *, kept: str = "") -> str:
    """Write one self-contained HTML file; without a newest window the `kept` columns stand again."""
    metric = timeline(facts)
    return _template().render(
        facts=facts,
        state=state_of(facts),
        lines=lines_of(facts.checks),
        timeline=metric,
        numbers=numbers(facts),
        heat=heat_map(facts.drift, cut=facts.cut),
        current=facts.current,
        panels=panels(facts.current) if facts.current else [],
        kept=kept,
        coverage=coverage(facts),
        story=story(facts),
        blind=BLIND if metric and metric.estimated else "",
    )


@cache
def _template() -> Template:
    found = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["style"] = (_HERE / "page.css").read_text(encoding="utf-8")
    found.filters |= {"counted": _counted, "moment": moment, "place": _place}
    return found.get_template("page.html")


def _counted(number: int) -> str:
    """Write a count as the sentences of findings do."""
    return f"{number:,}"


def _place(value: float) -> str:
    """Write a percentage for a style."""
    return f"{value:.2f}%"
