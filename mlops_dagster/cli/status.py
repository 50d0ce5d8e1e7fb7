"""`mlops-dagster status MODEL`: what serves, what waits, how new the data is, what was found."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.location import open_bench
from mlops_dagster.cli.model_argument import MODEL, registry_name, split_name

if TYPE_CHECKING:
    from mlops_dagster.records import Finding
    from mlops_dagster.workbench import Workbench

FINDINGS = 5


@click.command("status")
@MODEL
def command(*, model: str) -> None:
    """Say what serves, what waits for approval, how new the data is, and what was found last."""
    bench = open_bench()
    for label, text in facts(bench, model):
        click.echo(f"{label:<11} {text}")


def facts(bench: "Workbench", model: str) -> Iterator[tuple[str, str]]:
    """List what is to be known of a model, each with a label."""
    yield "model", model
    yield "champion", version_text(bench, model, "champion")
    yield "challenger", version_text(bench, model, "challenger")
    yield "data", data_text(bench, model)
    found = newest_findings(bench, model)
    if not found:
        yield "findings", "none yet; the job `monitor` looks for them"
    for one in found:
        yield "finding", f"{one.at:%Y-%m-%d %H:%M}  {one.outcome.value}: {one.because}"


def version_text(bench: "Workbench", model: str, alias: str) -> str:
    """Say which version is behind an alias."""
    version = bench.registry.by_alias(registry_name(model), alias)
    if version is None:
        return "none"
    since = ""
    if alias == "champion":
        moves = bench.operations.moves(*split_name(model), state="done")
        since = f", since {moves[-1].at:%Y-%m-%d %H:%M}: {moves[-1].why}" if moves else ""
    return f"version {version.version}{since}"


def data_text(bench: "Workbench", model: str) -> str:
    """Say how much data was accepted, and how new it is."""
    from mlops_dagster.records import Snapshot
    from mlops_dagster.stores.accepted import accepted_record

    address = (*split_name(model), "validated_data")
    record = accepted_record(bench.records, bench.operations, address=address, kind=Snapshot)
    if record is None:
        return "none accepted yet; the job `lifecycle` or `update` takes it in"
    newest = f", newest row {record.newest:%Y-%m-%d %H:%M}" if record.newest else ""
    return f"{record.table.rows} rows{newest}, accepted {record.made_at:%Y-%m-%d %H:%M}"


def newest_findings(bench: "Workbench", model: str) -> "list[Finding]":
    """List what the last look at the model found: what was refused first."""
    found = [one for _, one in bench.operations.findings(*split_name(model))]
    last = [one for one in found if one.at == found[-1].at] if found else []
    return sorted(last, key=lambda one: (one.outcome.value != "refused", one.subject))[:FINDINGS]
