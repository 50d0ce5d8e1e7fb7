"""Which commit of the user's code a model was made with."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """A git commit, and whether the tree had changes beside it; empty outside a repository."""

    commit: str = ""
    dirty: bool = False


def provenance_of(folder: Path) -> Provenance:
    """Ask git about a folder; outside a repository, or without git, there is nothing to know."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return Provenance()
    return Provenance(commit=commit, dirty=bool(_git(folder, "status", "--porcelain")))


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            ["git", "-C", str(folder), *words],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
