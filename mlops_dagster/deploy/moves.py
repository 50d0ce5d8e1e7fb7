"""Move the alias `champion`: intent in the ledger, alias, confirmation; all under one lease.

Whatever interrupts it, the next one to come finds the open intent and finishes or undoes it by what the
alias says. A move that was made elsewhere is entered as `external`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from mlops_dagster.clock import wall_now
from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.errors import ConflictError, MlopsError
from mlops_dagster.records import Move
from mlops_dagster.scoring.loader import load_verified
from mlops_dagster.stores.operations import Operations
from mlops_dagster.stores.registry import CHAMPION
from mlops_dagster.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which version is to serve, in whose place, by whom and why."""

    to_version: str
    expected: str | None
    who: str
    why: str
    kind: Literal["promotion", "rollback"] = "promotion"


def champion_lock(model: ModelIdentity) -> str:
    """Name the lease under which the champion is moved."""
    return f"lock:{model.address}/champion"


def champion_of(bench: Workbench, model: ModelIdentity) -> str | None:
    """Tell which version serves."""
    version = bench.registry.by_alias(model.registered_name, CHAMPION)
    return version.version if version else None


def changes(operations: Operations, name: str, segment: str) -> list[Move]:
    """List what changed the version that serves, oldest first; an approval alone changes nothing."""
    done = operations.moves(name, segment, state="done")
    return [one for one in done if one.kind != "approval"]


def move_champion(
    bench: Workbench,
    model: ModelIdentity,
    order: Order,
    *,
    confirm: Callable[[], None] | None = None,
) -> Move:
    """Let another version serve, after it loaded, is what was registered, and scores its example.

    The move is done when `confirm` returns; an error of ours that it raises undoes the move.
    Raises: ConflictError when the champion is not `expected` any more; StoreError when the version
    cannot be used. The alias is then what it was.
    """
    # A holder may take its own lease again, so each move is a holder of its own.
    holder = f"{order.who} {uuid4().hex}"
    with bench.operations.hold(champion_lock(model), holder=holder):
        settle(bench, model)
        serving = champion_of(bench, model)
        if serving != order.expected:
            message = (
                f"{model.address}: version {order.to_version} is to take the place of "
                f"{order.expected or 'nothing'}, but {serving or 'nothing'} serves now. Evaluate it again."
            )
            raise ConflictError(message)
        version = bench.registry.version(model.registered_name, order.to_version)
        load_verified(bench.registry, version).check_example()
        return _carry_out(bench, model, order, confirm)


def settle(bench: Workbench, model: ModelIdentity) -> None:
    """Finish or undo what was interrupted, and enter what was moved elsewhere."""
    operations = bench.operations
    serving = champion_of(bench, model)
    for intent in operations.moves(model.name, model.segment, state="open"):
        done = serving == intent.to_version
        operations.close_move(intent.id, state="done" if done else "undone")
    known = changes(operations, model.name, model.segment)
    last = known[-1].to_version if known else None
    if serving != last:
        why = "The alias was moved outside of this package."
        order = Order(to_version=serving or "", expected=last, who="external", why=why)
        entry = _intent(bench, model, order, kind="external", to_version=serving)
        operations.close_move(operations.open_move(entry).id, state="done")


def _carry_out(
    bench: Workbench, model: ModelIdentity, order: Order, confirm: Callable[[], None] | None
) -> Move:
    intent = bench.operations.open_move(
        _intent(bench, model, order, kind=order.kind, to_version=order.to_version)
    )
    try:
        bench.registry.set_alias(model.registered_name, CHAMPION, order.to_version)
        if confirm is not None:
            confirm()
    except MlopsError as error:
        put_back(bench, model, order)
        bench.operations.close_move(intent.id, state="undone", why=f"{order.why} Failed: {error}")
        raise
    bench.operations.close_move(intent.id, state="done")
    return intent


def put_back(bench: Workbench, model: ModelIdentity, order: Order) -> None:
    """Point the alias where it was."""
    if champion_of(bench, model) == order.expected:
        return
    if order.expected is None:
        bench.registry.delete_alias(model.registered_name, CHAMPION)
    else:
        bench.registry.set_alias(model.registered_name, CHAMPION, order.expected)


def _intent(
    bench: Workbench,
    model: ModelIdentity,
    order: Order,
    *,
    kind: Literal["promotion", "rollback", "external"],
    to_version: str | None,
) -> Move:
    at: datetime = bench.clock.now()
    return Move(
        model=model.name,
        segment=model.segment,
        registered_name=model.registered_name,
        from_version=order.expected,
        to_version=to_version,
        who=order.who,
        why=order.why,
        kind=kind,
        state="open",
        at=at,
        recorded_at=wall_now(),
    )
