"""Experiment tracking: the contract."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOwner:
    """Whom a tracked run belongs to: a retry or re-execution from failure continues the same one."""

    root_run_id: str
    run_id: str
    model: str
    segment: str
    partition: str = ""
    dagster_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModel:
    """A model's files in tracking. `uri` opens without any global tracking address."""

    model_id: str
    uri: str
    load_uri: str


class Tracking(Protocol):
    """Keeps runs with parameters, metrics, datasets, pictures and models.

    Runs are found by their owner's tags and always ended on purpose.
    Raises: StoreError when the server or database does not answer.
    """

    @property
    def address(self) -> str:
        """The tracking address, without secrets."""

    def run_of(self, owner: RunOwner) -> str:
        """Find the owner's run, or start it; a run that had ended is running again. Under a lock."""

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        model_id: str | None = None,
    ) -> None:
        """Write all of it in one request. A parameter that is there with another value is kept as a tag."""

    def log_dataset(
        self, run_id: str, *, name: str, digest: str, source: str, rows: int, context: str
    ) -> None:
        """Note which rows the run used; `digest` is the full data version."""

    def log_files(self, run_id: str, folder: Path, *, under: str = "") -> None:
        """Keep every file of a folder with the run."""

    def log_text(self, run_id: str, text: str, *, path: str) -> None:
        """Keep one text file with the run."""

    def log_model(self, run_id: str, folder: Path, *, name: str) -> LoggedModel:
        """Keep a saved MLflow model folder, in status READY, with the run."""

    def has_model(self, run_id: str, *, model_id: str) -> bool:
        """Tell whether a run and the model logged with it are there, and not deleted."""

    def download(self, uri: str) -> Path:
        """Fetch a logged model's files; a local location is not copied."""

    def end(self, run_id: str, *, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """End a run."""

    def reconcile(
        self, model: str, segment: str, *, is_open: Callable[[str], bool]
    ) -> Sequence[str]:
        """End as KILLED every RUNNING run whose Dagster run is not open any more; tell which."""

    def run_url(self, run_id: str, *, file: str = "") -> str:
        """Where a person sees the run, or one of its files: on the server, else in the local UI."""


@contextmanager
def tracked(tracking: Tracking, owner: RunOwner) -> Iterator[str]:
    """Work inside the owner's run; it always ends on purpose: FINISHED, or FAILED on any error."""
    run_id = tracking.run_of(owner)
    try:
        yield run_id
    except BaseException:
        tracking.end(run_id, status="FAILED")
        raise
    tracking.end(run_id, status="FINISHED")
