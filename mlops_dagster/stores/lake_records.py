"""Records as JSON files in the lake: written once, never over another."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from pydantic import TypeAdapter, ValidationError

from mlops_dagster.errors import ConflictError, StoreError, first_line, redact
from mlops_dagster.records import FORMAT, Record
from mlops_dagster.stores.records import R, RecordAddress

_STORE = "record store"


@dataclass(frozen=True)
class LakeRecords:
    """Keeps records under `root`: a folder, or any address that fsspec knows."""

    root: str

    @cached_property
    def _place(self) -> tuple[AbstractFileSystem, str]:
        try:
            files, path = url_to_fs(self.root)
        except (ImportError, ValueError) as error:
            raise StoreError.unreachable(_STORE, self.root, error) from error
        return files, str(path).rstrip("/")

    @property
    def _files(self) -> AbstractFileSystem:
        return self._place[0]

    def write(self, address: RecordAddress, record: Record) -> str:
        """Keep a record and give its path. The same content again is no error.

        Raises: ConflictError when another record is at the address.
        """
        content = to_json(record)
        with self._answering():
            if self._create(self._full(address.path), content):
                return address.path
            kept: bytes = self._files.cat_file(self._full(address.path))
        if kept != content:
            message = (
                f"{address.path}: another record is there already, and records are never replaced. "
                "Each step of a run writes one record: give this one a run or step of its own."
            )
            raise ConflictError(message)
        return address.path

    def read(self, path: str, kind: type[R]) -> R:
        """Read a record, whatever its outcome."""
        try:
            with self._answering():
                content: bytes = self._files.cat_file(self._full(path))
        except FileNotFoundError as error:
            message = (
                f"{path}: there is no such record under {redact(self.root)}. "
                "Materialize the asset again to make a new one."
            )
            raise StoreError(message) from error
        return from_json(content, kind, path=path)

    def of_run(self, model: str, segment: str, noun: str, run_id: str, kind: type[R]) -> R | None:
        """Read the newest record of a noun that a run wrote, if it wrote one."""
        with self._answering():
            paths = [
                path
                for partition in self._listed(f"{model}/{segment}/{noun}")
                for path in self._listed(f"{partition}/{run_id}")
                if path.endswith(".json")
            ]
        records = [self.read(path, kind) for path in paths]
        return max(records, key=lambda record: record.recorded_at, default=None)

    def _full(self, path: str) -> str:
        return f"{self._place[1]}/{path}"

    def _listed(self, folder: str) -> list[str]:
        """List what is in a folder, as paths under the root."""
        try:
            found = self._files.ls(self._full(folder), detail=False, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [f"{folder}/{str(path).rstrip('/').rsplit('/', 1)[-1]}" for path in sorted(found)]

    def _create(self, path: str, content: bytes) -> bool:
        """Write a file that is not there yet, whole or not at all; tell whether it was not there."""
        if isinstance(self._files, LocalFileSystem):
            return create_file(Path(path), content)
        try:
            self._files.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        return True

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError.unreachable(_STORE, self.root, error) from error


def create_file(path: Path, content: bytes) -> bool:
    """Write a local file that is not there yet, whole or not at all; tell whether it was not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails when the name is taken.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
            return True
        return False
    finally:
        fresh.unlink(missing_ok=True)


def to_json(record: Record) -> bytes:
    """Write a record as JSON; the same record gives the same bytes."""
    told = dataclasses.asdict(record)
    return json.dumps(told, sort_keys=True, default=_plain).encode()


def from_json(content: bytes, kind: type[R], *, path: str) -> R:
    """Read a record from JSON. Raises: StoreError for a later format or a broken file."""
    try:
        told = json.loads(content)
        written = told["format"]
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path}: this is no record: {first_line(error)}. Materialize the asset again."
        raise StoreError(message) from error
    if written > FORMAT:
        message = (
            f"{path}: the record was written in format {written}; this version reads up to {FORMAT}. "
            "Upgrade the package: pip install --upgrade mlops-dagster"
        )
        raise StoreError(message)
    try:
        # A class can be hashed, whatever its instances can.
        record: R = _adapter(kind).validate_python(told)  # type: ignore[arg-type]
    except ValidationError as error:
        where = error.errors()[0]["loc"]
        message = f"{path}: this is no {kind.__name__}: {where}: {first_line(error)}"
        raise StoreError(message) from error
    return record


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    message = f"a record cannot keep {type(value).__name__}: {value!r}"
    raise TypeError(message)
