import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PYPROJECT = """
[project]
name = "shop"
version = "0.1.0"
requires-python = ">=3.11"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
"""

DEFINITIONS = """
from pathlib import Path

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of `dg`, as small as it can be."""
    (tmp_path / "shop/defs").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/defs/__init__.py").write_text("")
    (tmp_path / "shop/definitions.py").write_text(DEFINITIONS)
    (tmp_path / "customers.csv").write_text("id,left\n1,0\n")
    return tmp_path


@pytest.fixture
def dg_command(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `dg` in the project."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name("dg")), *arguments],
            cwd=project,
            env={
                **os.environ,
                "PYTHONPATH": f"{project}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
                "DAGSTER_HOME": "",
                "DG_CLI_CONFIG": str(project / "dg.toml"),
                "MLOPS_HOME": str(project / ".mlops"),
                "NO_COLOR": "1",
                "COLUMNS": "200",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run
