"""Where files are now whose home was moved: MLflow keeps the whole old path of each."""

from pathlib import Path


def where_now(folder: Path, *, artifacts: str) -> Path:
    """Give a folder, or the one of the same place under `artifacts` where only that is there.

    The old folder of artifacts had the name of the new one. That the files are the same ones, their
    SHA-256 tells, which is compared before anything is loaded.
    """
    root = Path(artifacts)
    if not artifacts or folder.is_dir() or root.name not in folder.parts:
        return folder
    after = [at + 1 for at, part in enumerate(folder.parts) if part == root.name]
    moved = [root.joinpath(*folder.parts[at:]) for at in after if at < len(folder.parts)]
    return next((one for one in moved if one.is_dir()), folder)


def is_left(location: str, *, place: str) -> bool:
    """Tell whether an experiment's files belong in a home that is not there any more, and not in `place`."""
    return location != place and location.startswith("/") and not Path(location).parent.is_dir()
