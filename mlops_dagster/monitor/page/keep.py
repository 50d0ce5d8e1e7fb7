"""Keeps the page where people find it: with the champion's run in MLflow, and in the home's reports."""

from collections.abc import Sequence

from mlops_dagster.errors import StoreError
from mlops_dagster.monitor.page.draw import columns_of, draw_page
from mlops_dagster.monitor.page.facts import Current, read_facts
from mlops_dagster.monitor.spec import MonitorSpec
from mlops_dagster.records import Check, Shown
from mlops_dagster.stores.registry import ModelVersion
from mlops_dagster.workbench import StepContext

PAGE = "monitoring.html"


def kept_columns(context: StepContext, version: str | None) -> str:
    """Read a version's worst columns off the last page; empty when this machine has none of it."""
    last = context.report(PAGE)
    if version is None or not last.exists():
        return ""
    return columns_of(last.read_text(encoding="utf-8"), version=version)


def keep_page(
    context: StepContext,
    spec: MonitorSpec,
    *,
    checks: Sequence[Check],
    serving: ModelVersion | None,
    current: Current | None,
    kept: str,
) -> dict[str, Shown]:
    """Write the page in place of the last one, whose worst columns are `kept`; tell where it is.

    The champion's own run has it, so that each version keeps how it did while it served; a look of its
    own would make a run of MLflow each time. Without a champion it is in the home only.
    Raises: StoreError when findings or tables cannot be read.
    """
    version = serving.version if serving else None
    facts = read_facts(context, spec, checks=checks, champion=version, current=current)
    text = draw_page(facts, kept="" if current else kept)
    place = context.keep_report(PAGE, text)
    context.log.info(f"page: {len(text.encode()) / 1000:.0f} kB, {place}")
    return {"page": Shown(kind="path", value=str(place))} | _logged(context, serving, text)


def _logged(context: StepContext, serving: ModelVersion | None, text: str) -> dict[str, Shown]:
    """Keep it with the champion's run, if a run made the champion and is still there."""
    if serving is None or not serving.mlflow_run_id:
        return {}
    run_id, path = serving.mlflow_run_id, f"monitoring/{context.model.name}.html"
    tracking = context.bench.tracking
    try:
        tracking.log_text(run_id, text, path=path)
        url = tracking.run_url(run_id, file=path)
    except StoreError as error:
        # What was found is kept already; a run that someone deleted must not end the watching.
        told = f"The page could not be logged to the run {run_id} of version {serving.version}: {error}"
        context.log.warning(told)
        return {"page in MLflow": Shown(kind="text", value=told)}
    return {"page in MLflow": Shown(kind="url", value=url)}
