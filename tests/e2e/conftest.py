"""A small project on disk: one CSV file, one declaration, a workspace."""

import os
import sys
from pathlib import Path

import pytest

from tests.lifecycle.small import cancer

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = """
from mlops_dagster import build_lifecycle
from tests.lifecycle.small import cancer_spec

spec = cancer_spec({place!r}, automation={{"sensors": "running", "every": "5s"}},
                   retrain={{"triggers": ["drift"], "cooldown": "30d"}})
defs = build_lifecycle(spec)
"""


@pytest.fixture
def project(home, tmp_path) -> dict[str, str]:
    """Write the project; give the environment that its processes need."""
    table = cancer()
    table.loc[table.index[-40:], "target"] = None
    table.to_csv(tmp_path / "cancer.csv", index=False)
    (tmp_path / "location.py").write_text(DEFINITIONS.format(place=str(tmp_path / "cancer.csv")))
    (tmp_path / "workspace.yaml").write_text(
        f"load_from:\n  - python_file:\n      relative_path: location.py\n      working_directory: {tmp_path}\n"
    )
    dagster_home = tmp_path / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (home / "clock").write_text("2026-01-25T00:00:00+00:00")
    return {
        **os.environ,
        "MLOPS_HOME": str(home),
        "DAGSTER_HOME": str(dagster_home),
        "MLOPS_CLOCK": f"replay:{home}/clock",
        "PYTHONPATH": str(ROOT),
        "PYTHON": sys.executable,
        "PROJECT": str(tmp_path),
        "OMP_NUM_THREADS": "2",
    }
