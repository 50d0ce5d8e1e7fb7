"""The prediction log: append-only segments of JSON lines, written before anybody is answered.

A worker writes to a segment of its own, which it holds by a lock of the file system. A segment is
sealed by renaming it. One whose writer died is sealed by whoever finds the lock free; a torn last line
was never acknowledged and is skipped.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from mlops_dagster.errors import StoreError

Durability = Literal["fsync", "os", "none"]
OPEN, SEALED = ".open", ".jsonl"
_SEGMENT_BYTES = 64 * 2**20


class PredictionLog:
    """Appends records for one worker. `fsync` survives a power failure, `os` the end of the process.

    `none` keeps nothing. Raises: StoreError when a record could not be written; the segment then ends
    where the last whole record did.
    """

    def __init__(
        self, folder: Path, *, durability: Durability, limit: int = _SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self.durability = durability
        self._limit = limit
        self._file: int | None = None
        self._path = folder
        self._size = 0
        self._opened_at = 0.0
        self._one_at_a_time = threading.Lock()

    def append(self, records: Sequence[Mapping[str, Any]], *, now: float) -> None:
        """Write records with one call, at the monotonic time `now` in seconds."""
        if self.durability == "none" or not records:
            return
        text = b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in records)
        with self._one_at_a_time:
            try:
                self._write(text, now)
            except OSError as error:
                message = (
                    f"prediction log: {self.folder} cannot be written: {error.strerror or error}."
                )
                raise StoreError(message) from error
            if self._size >= self._limit:
                self._seal()

    def seal(self, *, older_than_s: float = 0.0, now: float = float("inf")) -> None:
        """Close the segment, so that it can be taken into the table."""
        with self._one_at_a_time:
            if self._file is not None and now - self._opened_at >= older_than_s:
                self._seal()

    @property
    def waiting_bytes(self) -> int:
        """What is written and not sealed, in bytes."""
        return self._size if self._file is not None else 0

    def _seal(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            # Only its writer renames a segment whose lock is held.
            self._path.rename(self._path.with_suffix(SEALED))
            os.close(file)

    def _write(self, text: bytes, now: float) -> None:
        if self._file is None:
            self._open(now)
        file = self._file
        assert file is not None  # noqa: S101 - just opened
        try:
            written = os.write(file, text)
            while written < len(text):
                written += os.write(file, text[written:])
            if self.durability == "fsync":
                os.fdatasync(file)
        except OSError:
            # Half a record must not come before whole ones.
            with suppress(OSError):
                os.ftruncate(file, self._size)
            raise
        self._size += len(text)

    def _open(self, now: float) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{uuid4().hex}{OPEN}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        if self.durability == "fsync":
            _sync_folder(self.folder)
        self._file, self._path, self._size, self._opened_at = file, path, 0, now


def seal_what_was_left(folder: Path) -> int:
    """Seal the segments whose writer is gone; give their number."""
    sealed = 0
    for path in sorted(folder.glob(f"*{OPEN}")):
        with suppress(FileNotFoundError):
            file = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.rename(path.with_suffix(SEALED))
                sealed += 1
            except BlockingIOError:
                pass
            finally:
                os.close(file)
    return sealed


def sealed_segments(folder: Path) -> list[Path]:
    """List the segments that nobody writes any more."""
    return sorted(folder.glob(f"*{SEALED}"))


def waiting_segments(folder: Path) -> list[str]:
    """Name the segments that wait to be taken into the table, or to be sealed first."""
    return sorted(path.name for path in folder.glob("*") if path.suffix in {OPEN, SEALED})


def read_segment(path: Path) -> Iterator[dict[str, Any]]:
    """Read a segment's records. A last line without its end was never acknowledged.

    Raises: StoreError naming a whole line that cannot be read.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                message = (
                    f"prediction log: line {number} of {path} is damaged: {error}. The file was left "
                    "as it is; mend or move that line, and run the step again."
                )
                raise StoreError(message) from error


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
