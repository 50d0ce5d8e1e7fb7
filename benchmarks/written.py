"""Benchmarks' results as pages under docs/benchmarks, and on the screen."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"


def write(name: str, title: str, about: str, lines: Sequence[str]) -> None:
    """Print the lines, and keep them as a page."""
    text = "\n".join([f"# {title}", "", about.strip(), "", *lines, ""])
    print(text)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text)


def machine() -> str:
    """Say where and when, with what, and how busy it was."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    names = ("mlflow", "scikit-learn", "pandas", "numpy", "starlette", "uvicorn")
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} cores, load average "
        f"{load}; Python {platform.python_version()}, "
        f"{', '.join(f'{one} {version(one)}' for one in names)}."
    )
