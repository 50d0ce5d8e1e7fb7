"""The digest of a model's files: SHA-256, since what is unpickled must be what was registered."""

import hashlib
from pathlib import Path


def artifact_sha256(folder: Path) -> str:
    """Digest every file of a folder with its path, in sorted order; 64 hex digits."""
    total = hashlib.sha256()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        name = path.relative_to(folder).as_posix()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()
