"""What we write into a Delta commit beside the rows, and how it is found again."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deltalake import CommitProperties
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import PyFileSystem

from mlops_dagster.errors import StoreError
from mlops_dagster.stores.content import ContentSum

FORMAT = 2
_PREFIX = "mlops_dagster"
_KEEPS_ROWS = frozenset({"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitNote:
    """The content after a commit, and the caller's state. Kept as the commit's custom metadata."""

    digest: str
    content: ContentSum
    state: Mapping[str, str] = field(default_factory=dict)

    def properties(self) -> CommitProperties:
        """Say it with a commit that fails rather than slips in after another one.

        Delta would put an append after somebody else's commit; the sums would then be wrong.
        """
        return CommitProperties(
            custom_metadata={
                f"{_PREFIX}.format": str(FORMAT),
                f"{_PREFIX}.digest": self.digest,
                f"{_PREFIX}.content": str(self.content),
                f"{_PREFIX}.rows": str(self.content.rows),
                f"{_PREFIX}.state": json.dumps(dict(self.state), sort_keys=True),
            },
            max_commit_retries=0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNote:
    """The last note at or before a version; `exact` when no later commit can have changed rows."""

    note: CommitNote | None
    exact: bool


def find_note(uri: str, version: int) -> FoundNote:
    """Find the last note of ours at or before a version.

    The log is read file by file: `DeltaTable.history` of an old version tells the newest commits.
    Raises: StoreError for a later format, or a log that was cut before our last commit.
    """
    exact = True
    for commit in commits_before(uri, version):
        if f"{_PREFIX}.format" in commit:
            return FoundNote(note=_parse(uri, commit), exact=exact)
        exact = exact and commit.get("operation") in _KEEPS_ROWS
    return FoundNote(note=None, exact=False)


def commits_before(uri: str, version: int) -> Iterator[Mapping[str, str]]:
    """Read the commit information of a version and of those before it, newest first."""
    files = PyFileSystem(DeltaStorageHandler(uri))
    for number in range(version, -1, -1):
        try:
            with files.open_input_stream(f"_delta_log/{number:020d}.json") as log:
                yield _commit_info(log.read())
        except FileNotFoundError as error:
            message = (
                f"{uri}: the log of version {number} was removed, and with it what we noted. "
                "Restore the folder _delta_log from a backup, and clean up with `mlops-dagster gc` only."
            )
            raise StoreError(message) from error


def _commit_info(log: bytes) -> Mapping[str, str]:
    for line in log.splitlines():
        if line.startswith(b'{"commitInfo"'):
            info: Mapping[str, str] = json.loads(line)["commitInfo"]
            return info
    return {}


def _parse(uri: str, commit: Mapping[str, str]) -> CommitNote:
    written = int(commit[f"{_PREFIX}.format"])
    if written > FORMAT:
        message = (
            f"{uri}: the table was written in format {written}; this version reads up to {FORMAT}. "
            "Upgrade the package: pip install --upgrade mlops-dagster"
        )
        raise StoreError(message)
    return CommitNote(
        digest=commit[f"{_PREFIX}.digest"],
        content=ContentSum.parse(commit[f"{_PREFIX}.content"]),
        state=json.loads(commit[f"{_PREFIX}.state"]),
    )
