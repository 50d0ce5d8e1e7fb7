"""The digest of a model's files: SHA-256, since what is unpickled must be what was registered."""

import hashlib
from pathlib import Path

_NOTE = "registered_model_meta"


def artifact_sha256(folder: Path) -> str:
    """Digest every file of a folder with its path, in sorted order; 64 hex digits.

    Without the note that MLflow writes beside a local model whenever somebody loads it by its name.
    """
    total = hashlib.sha256()
    note = folder / _NOTE
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one != note):
        name = path.relative_to(folder).as_posix()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()
