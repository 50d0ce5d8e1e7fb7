"""`mlops-dagster backtest MODEL`: what other retraining policies would have done on its own history."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.location import WORKSPACE, find_model, open_bench
from mlops_dagster.declaration import write_duration

if TYPE_CHECKING:
    from mlops_dagster.monitor.spec import DriftSpec
    from mlops_dagster.monitor.windows import Window
    from mlops_dagster.replay.history import History, LabelDelay
    from mlops_dagster.spec import LifecycleSpec

DEFAULT = "never,weekly,new_data,drift,performance,all"


@click.command("backtest")
@click.argument("model")
@click.option("--policies", default=DEFAULT, show_default=True, help="Separated by commas.")
@click.option("--labels", help="When outcomes are known: 36d, 12h, or month+2d (a monthly report).")
@click.option(
    "--training-windows",
    help="How far back to learn, separated by commas: all,90d,180d. Default: as declared.",
)
@click.option(
    "--start", type=click.DateTime(["%Y-%m-%d"]), help="When the first model is trained (UTC)."
)
@click.option(
    "--picture", type=click.Path(path_type=Path, dir_okay=False), help="Where the picture goes."
)
@WORKSPACE
def command(
    *,
    model: str,
    policies: str,
    labels: str | None,
    training_windows: str | None,
    start: datetime | None,
    picture: Path | None,
    workspace: Path,
) -> None:
    """Play MODEL's history under several policies: loss, retrains, CPU, alarms that led nowhere.

    Decisions, gates and limits are those of the running system; nothing is registered or deployed.
    One thread fits, unless OMP_NUM_THREADS says otherwise.
    """
    # Before the model's libraries load: threads that wait for one another would count as CPU time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from mlops_dagster.monitor.spec import PerformanceSpec
    from mlops_dagster.profiles.moments import told_left_out
    from mlops_dagster.replay.backtest import Play, default_start, policy_of
    from mlops_dagster.replay.candidates import Trainer
    from mlops_dagster.replay.history import History
    from mlops_dagster.replay.show import draw, write_table
    from mlops_dagster.replay.watching import Watcher

    spec = find_model(workspace, model)
    bench = open_bench()
    names = list(dict.fromkeys(name.strip() for name in policies.split(",")))
    chosen = {name: policy_of(name, spec.retrain) for name in names}
    delay = delay_of(spec, labels)
    history = History.read(bench, spec.identity, delay)
    begin = start.replace(tzinfo=UTC) if start else default_start(history)
    windows, drift = windows_of(spec, history, begin)
    watched = spec.monitor.performance or PerformanceSpec()
    watcher = Watcher(history, drift, watched, windows)
    trainers = {
        name: Trainer(history, one) for name, one in learning(spec, training_windows).items()
    }
    click.echo(
        f"{model}: {len(windows)} windows of {write_duration(drift.window)} from {begin:%Y-%m-%d}; outcomes "
        f"are taken as known {'at the end of the month and ' if delay.by_month else ''}"
        f"{write_duration(delay.after)} later. {told_left_out(history.left_out)}".rstrip()
    )
    found = []
    for name, policy in chosen.items():
        for length, trainer in trainers.items():
            play = Play(history, trainer, watcher, policy)
            found.append(play.run(name, windows, learning=length))
            click.echo(f"  {found[-1].name}: played")
    click.echo("\n" + write_table(found))
    place = picture or bench.home / f"backtest-{model.replace('/', '-')}.png"
    draw(found, place, title=f"{model}: what other policies would have done")
    click.echo(f"\nThe same as a picture: {place}")


def delay_of(spec: "LifecycleSpec", asked: str | None) -> "LabelDelay":
    """Read when outcomes are known; by itself after the lookback, within which they are read again."""
    from datetime import timedelta

    from mlops_dagster.replay.history import LabelDelay

    if asked:
        return LabelDelay.read(asked)
    return LabelDelay(after=spec.ingest.lookback or timedelta(0))


def learning(spec: "LifecycleSpec", asked: str | None) -> "dict[str, LifecycleSpec]":
    """Declare the model once for each length of history to learn from; unnamed when as declared.

    Raises: SpecError for what is no length of time.
    """
    from pydantic import ValidationError

    from mlops_dagster.errors import SpecError
    from mlops_dagster.train.spec import TrainSpec

    if asked is None:
        return {"": spec}
    found = {}
    for name in dict.fromkeys(one.strip() for one in asked.split(",")):
        told = spec.train.model_dump() | {"window": None if name == "all" else name}
        try:
            train = TrainSpec.model_validate(told)
        except ValidationError as error:
            message = (
                f"--training-windows: {name!r} is neither `all` nor a length such as 90d or 26w."
            )
            raise SpecError(message) from error
        found[name] = spec.model_copy(update={"train": train})
    return found


def windows_of(
    spec: "LifecycleSpec", history: "History", begin: datetime
) -> "tuple[list[Window], DriftSpec]":
    """Cut the rest of the history into windows as they are declared."""
    from mlops_dagster.errors import SpecError
    from mlops_dagster.monitor.spec import DriftSpec
    from mlops_dagster.monitor.windows import complete_windows

    drift = spec.monitor.drift or DriftSpec()
    windows = complete_windows(length=drift.window, after=begin, until=history.last)
    if not windows:
        message = (
            f"{spec.name}: no complete window of {write_duration(drift.window)} after {begin:%F}."
        )
        raise SpecError(message)
    return windows, drift
