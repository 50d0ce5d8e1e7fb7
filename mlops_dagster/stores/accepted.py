"""Which record may be built upon: the run's own, the one it continues, or the accepted one."""

from collections.abc import Sequence

from mlops_dagster.errors import ConflictError, StoreError
from mlops_dagster.records import Outcome, Record
from mlops_dagster.stores.operations import Operations
from mlops_dagster.stores.records import R, RecordStore

_TRIES = 20


def find_record(
    records: RecordStore,
    operations: Operations,
    *,
    address: tuple[str, str, str],
    runs: Sequence[str] = (),
    kind: type[R],
) -> R:
    """Read the record of (model, segment, noun) for a run. `runs` is the run, then those it continues.

    Without `runs` it is the accepted one.

    Raises: StoreError when nothing was accepted yet.
    """
    model, segment, noun = address
    for run_id in runs:
        own = records.of_run(model, segment, noun, run_id, kind)
        if own is not None:
            return own
    pointer = operations.pointer(model, segment, noun)
    if pointer is None:
        message = (
            f"{model}/{segment}/{noun}: there is no accepted record yet. Materialize {noun} first, or "
            f"run the whole life once: mlops-dagster run {model}/{segment}"
        )
        raise StoreError(message)
    return records.read(pointer.path, kind)


def accepted_record(
    records: RecordStore, operations: Operations, *, address: tuple[str, str, str], kind: type[R]
) -> R | None:
    """Read the accepted record of (model, segment, noun), if there is one."""
    pointer = operations.pointer(*address)
    return records.read(pointer.path, kind) if pointer else None


def accept(
    records: RecordStore, operations: Operations, *, noun: str, record: Record, path: str
) -> None:
    """Make a passed record the accepted one, unless a later one is.

    Raises: ConflictError when other runs keep moving the pointer.
    """
    if record.outcome is not Outcome.PASSED:
        message = f"{record.model}/{noun}: a record that ended {record.outcome} cannot be accepted."
        raise ValueError(message)
    for _ in range(_TRIES):
        pointer = operations.pointer(record.model, record.segment, noun)
        if pointer and records.read(pointer.path, type(record)).recorded_at > record.recorded_at:
            return
        try:
            operations.move_pointer(
                record.model,
                record.segment,
                noun,
                path=path,
                expected=pointer.serial if pointer else None,
            )
        except ConflictError:
            continue
        return
    message = f"{record.model}/{record.segment}/{noun}: the pointer moved {_TRIES} times meanwhile."
    raise ConflictError(message)
