"""`mlops-dagster status MODEL`: what serves, what waits, how new the data is, what was found."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.model_argument import MODEL, registry_name, split_name
from mlops_dagster.cli.traces import bench_of

if TYPE_CHECKING:
    from mlops_dagster.records import Finding
    from mlops_dagster.workbench import Workbench

FINDINGS = 5


@click.command("status")
@MODEL
def command(*, model: str) -> None:
    """Say what serves, what waits for approval, how new the data is, and what was found last."""
    bench = bench_of(model)
    for label, text in facts(bench, model):
        click.echo(f"{label:<11} {text}")


def facts(bench: "Workbench", model: str) -> Iterator[tuple[str, str]]:
    """List what is to be known of a model, each with a label."""
    yield "model", model
    yield "champion", champion_text(bench, model)
    yield "challenger", challenger_text(bench, model)
    yield "data", data_text(bench, model)
    if held := held_text(bench, model):
        yield "quarantine", held
    found = newest_findings(bench, model)
    if not found:
        yield "findings", "none yet; the job `monitor` looks for them"
    news = [one for one in found if one.outcome.value != "not_applicable"]
    if found and not news:
        yield "findings", f"nothing at {found[0].at:%Y-%m-%d %H:%M}"
    for one in news:
        yield "finding", f"{one.at:%Y-%m-%d %H:%M}  {one.outcome.value}: {one.because}"


def champion_text(bench: "Workbench", model: str) -> str:
    """Say which version serves, since when and why."""
    version = bench.registry.by_alias(registry_name(model), "champion")
    if version is None:
        return "none"
    done = bench.operations.moves(*split_name(model), state="done")
    moves = [one for one in done if one.kind != "approval"]
    since = f", since {moves[-1].at:%Y-%m-%d %H:%M}: {moves[-1].why}" if moves else ""
    return f"version {version.version}{since}"


def challenger_text(bench: "Workbench", model: str) -> str:
    """Say which version does not serve yet, and what it waits for; the champion is none."""
    from mlops_dagster.deploy.approval import word_on

    name = registry_name(model)
    version, serving = (bench.registry.by_alias(name, one) for one in ("challenger", "champion"))
    if version is None or (serving and serving.version == version.version):
        return "none"
    state, word = word_on(version)
    approve = f'mlops-dagster approve {model} --version {version.version} --why "..."'
    deploy = f"mlops-dagster run {model} --job deploy"
    waits = {
        "pending": f", waits for a person: {approve}",
        "approved": f", approved by {word.who or 'a tag in MLflow'}, waits for deploy: {deploy}",
    }
    return f"version {version.version}{waits.get(state, '')}"


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


def held_text(bench: "Workbench", model: str) -> str:
    """Say how many refused rows wait; nothing when none does."""
    from mlops_dagster.stores.held_rows import waiting_rows

    rows = waiting_rows(bench.tables, "/".join(split_name(model))).num_rows
    see = f"mlops-dagster quarantine list {model}"
    return f"{rows} rows wait in quarantine; see {see}" if rows else ""


def newest_findings(bench: "Workbench", model: str) -> "list[Finding]":
    """List what the last look at the model found: what was refused first."""
    found = bench.operations.newest_findings(*split_name(model))
    last = [one for one in reversed(found) if one.at == found[0].at]
    return sorted(last, key=lambda one: (one.outcome.value != "refused", one.subject))[:FINDINGS]
