"""Whether the endpoint answers, and from the version that should serve. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from mlops_dagster.notify.incidents import Sighting
from mlops_dagster.stores.operations import ALIVE, Worker

ENDPOINT_DOWN = "endpoint_down"
PATIENCE = timedelta(minutes=1)
"""A worker that starts again, or changes its version, is told of only after so long."""


def endpoint_sighting(workers: Sequence[Worker], *, serves: str | None, now: datetime) -> Sighting:
    """Say whether something is wrong with the workers that were seen within a day.

    `serves` is the version that the alias names, and None where nobody knows it.
    """
    alive = [one for one in workers if now - one.seen_at <= ALIVE]
    if not alive and workers:
        last = max(workers, key=lambda one: one.seen_at)
        because = (
            f"No worker answers: {_named(last)} is silent since {last.seen_at:%Y-%m-%d %H:%M} UTC, and did "
            f"not say that it ends. Start one: mlops-dagster serve {last.model}"
        )
        return Sighting(kind=ENDPOINT_DOWN, wrong=True, because=because)
    behind = [one for one in alive if one.problem or serves not in {None, one.version}]
    if behind:
        told = "; ".join(
            f"{_named(one)} answers from version {one.version or 'none'}. {one.problem}".strip()
            for one in behind
        )
        because = f"{len(behind)} of {len(alive)} workers do not follow {_version(serves)}: {told}"
        return Sighting(kind=ENDPOINT_DOWN, wrong=True, because=because)
    told = f"{len(alive)} of {len(alive)} workers answer from {_version(serves)}."
    because = told if alive else "No worker was seen for a day: the endpoint is taken for ended."
    return Sighting(kind=ENDPOINT_DOWN, wrong=False, because=because)


def _named(worker: Worker) -> str:
    return f"{worker.address} (process {worker.pid})"


def _version(serves: str | None) -> str:
    return f"version {serves}" if serves else "what should serve"
