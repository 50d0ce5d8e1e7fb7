"""Put back what served before, and keep the loop from bringing back what was removed."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.deploy.approval import bar
from mlops_dagster.deploy.moves import Order, champion_of, changes, move_champion
from mlops_dagster.errors import GateRefusedError, StoreError
from mlops_dagster.records import Move
from mlops_dagster.stores.operations import ALIVE, Worker
from mlops_dagster.workbench import Workbench


def roll_back(
    bench: Workbench, model: ModelIdentity, *, who: str, why: str, expected: str | None = None
) -> Move:
    """Let the version serve that served before the champion. The one removed is barred.

    Automatic promotion is held from then on: the next version waits for an approval. Where the alias
    was taken away outside of this package, the version that had it serves again, and none is barred.
    Raises: GateRefusedError when nothing served before, or without a reason; ConflictError when another
    version than `expected` serves.
    """
    if not why.strip():
        message = f"{model.address}: a rollback needs a reason, for whoever asks later."
        raise GateRefusedError(message)
    serving = champion_of(bench, model)
    earlier = served_before(known_changes(bench, model, serving))
    if not earlier:
        message = (
            f"{model.address}: no version served before {serving or 'now'}, so there is nothing to go "
            "back to. mlops-dagster history lists every change."
        )
        raise GateRefusedError(message)
    order = Order(
        to_version=earlier[-1], expected=expected or serving, who=who, why=why, kind="rollback"
    )
    move = move_champion(bench, model, order)
    if serving is None:
        return move
    said = f"{why} ({who}, {bench.clock.now():%Y-%m-%d %H:%M})"
    bar(bench, model, serving, why=said)
    return move


def known_changes(bench: Workbench, model: ModelIdentity, serving: str | None) -> list[Move]:
    """List what changed the version that serves; an alias that was deleted elsewhere is a change too."""
    moved = changes(bench.operations, model.name, model.segment)
    if serving is None and moved and moved[-1].to_version is not None:
        return [*moved, replace(moved[-1], kind="external", to_version=None)]
    return moved


def served_before(moves: Sequence[Move]) -> list[str]:
    """List the versions that served before the present one, the last one last.

    A rollback takes back what it removed: after two of them, the version before both serves.
    """
    line: list[str | None] = []
    for move in moves:
        if move.kind == "rollback" and move.to_version in line:
            del line[line.index(move.to_version) + 1 :]
        else:
            line = [one for one in line if one != move.to_version] + [move.to_version]
    return [one for one in line[:-1] if one is not None]


def held_since(bench: Workbench, model: ModelIdentity) -> str:
    """Say that automatic promotion is held: since a rollback, until a person approves a version."""
    moved = changes(bench.operations, model.name, model.segment)
    if not moved or moved[-1].kind != "rollback":
        return ""
    last = moved[-1]
    done = f"rolled version {last.from_version} back"
    if last.from_version is None:
        done = f"put version {last.to_version} back"
    return f"Automatic promotion is held since {last.who} {done} on {last.at:%Y-%m-%d %H:%M}: {last.why}"


def workers_of(
    bench: Workbench, model: ModelIdentity, *, within: timedelta = ALIVE
) -> list[Worker]:
    """List the workers that answer for a model now, or told of themselves `within` so long."""
    return bench.operations.workers(model.name, model.segment, since=wall_now() - within)


def await_workers(
    bench: Workbench, model: ModelIdentity, version: str, *, within: timedelta
) -> list[Worker]:
    """Wait until every worker that answers now does so from a version; give the workers.

    Raises: StoreError naming the workers that still answer from another one.
    """
    deadline, patience = wall_now() + within, threading.Event()
    while True:
        workers = workers_of(bench, model)
        behind = [one for one in workers if one.version != version]
        if not behind:
            return workers
        if wall_now() >= deadline:
            told = "; ".join(
                f"{one.address} (process {one.pid}): version {one.version} {one.problem}".strip()
                for one in behind
            )
            message = (
                f"{model.address}: the alias says version {version}, but after "
                f"{within.total_seconds():g} s these answer otherwise: {told}"
            )
            raise StoreError(message)
        patience.wait(0.1)
