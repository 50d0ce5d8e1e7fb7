"""Immutable records as JSON files in the lake, and the accepted one of each noun."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from mlops_dagster.records import Record

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAddress:
    """Where a record lies: `<model>/<segment>/<noun>/<partition>/<run>/<step>.json`."""

    model: str
    segment: str
    noun: str
    run_id: str
    step: str
    partition: str = "all"

    @property
    def path(self) -> str:
        """The path under the records' root."""
        where = f"{self.model}/{self.segment}/{self.noun}/{self.partition}"
        return f"{where}/{self.run_id}/{self.step}.json"


class RecordStore(Protocol):
    """Keeps records; none is ever written over another.

    Raises: StoreError when a file is missing or of a later format than this version reads.
    """

    def write(self, address: RecordAddress, record: Record) -> str:
        """Keep a record and give its path. The same content again is no error.

        Raises: ConflictError when another record is at the address.
        """

    def read(self, path: str, kind: type[R]) -> R:
        """Read a record, whatever its outcome."""

    def of_run(self, model: str, segment: str, noun: str, run_id: str, kind: type[R]) -> R | None:
        """Read the newest record of a noun that a run wrote, if it wrote one."""
