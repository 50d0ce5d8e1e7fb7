"""`mlops-dagster why MODEL`: the last decisions as sentences, and the alarms that started nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.model_argument import MODEL, split_name
from mlops_dagster.cli.progress import AFTER_TIME, screen_width, wrapped
from mlops_dagster.cli.traces import bench_of

if TYPE_CHECKING:
    from mlops_dagster.records import Decision, Finding
    from mlops_dagster.workbench import Workbench

MOST = 1_000


@click.command("why")
@MODEL
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
def command(*, model: str, limit: int) -> None:
    """Tell the last decisions about MODEL, newest first, each with its reason; a no has one too."""
    bench, width = bench_of(model), screen_width()
    decisions = bench.operations.decisions(*split_name(model), limit=limit)
    if not decisions:
        click.echo(
            f"{model}: no sensor has decided anything yet; `mlops-dagster dev` turns them on. Runs that "
            "people start are no decisions: Dagster lists them."
        )
    for one in decisions:
        click.echo(wrapped(sentence(one), width=width, margin=AFTER_TIME))
    if held := suppressed(bench, model):
        click.echo(f"\n{len(held)} alarm(s) since the last retrain started nothing; the newest:")
    for alarm in held[:limit]:
        size = f" ({alarm.severity})" if alarm.severity else ""
        said = f"{alarm.at:%Y-%m-%d %H:%M}  {alarm.signal}{size}: {alarm.because}"
        click.echo(wrapped(said, width=width, margin=AFTER_TIME))


def sentence(decision: "Decision") -> str:
    """Write a decision as a line."""
    said = "no" if decision.action == "none" else decision.action
    reason = "" if decision.reason == "none" else f"{decision.reason}: "
    return f"{decision.at:%Y-%m-%d %H:%M}  {said:<8} {reason}{decision.because}"


def suppressed(bench: "Workbench", model: str) -> "Sequence[Finding]":
    """List the alarms since the last training, or the last one that was asked for, newest first."""
    from mlops_dagster.records import Outcome, TrainedModel
    from mlops_dagster.stores.accepted import accepted_record
    from mlops_dagster.stores.operations import FindingFilter

    address = split_name(model)
    trained = accepted_record(
        bench.records, bench.operations, address=(*address, "trained_model"), kind=TrainedModel
    )
    asked = bench.operations.decisions(*address, action="retrain", limit=1)
    times = [one.at for one in asked] + ([trained.made_at] if trained else [])
    only = FindingFilter(outcome=Outcome.REFUSED, since=max(times, default=None))
    return bench.operations.newest_findings(*address, limit=MOST, only=only)
