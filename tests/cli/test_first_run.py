import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
TABLES = {
    "cancer": ("cancer.csv", "target"),
    "diabetes": ("diabetes.parquet", "target"),
    "wine": ("sqlite:///{}/cellar.db", "target"),
    "churn": ("messy.csv", "left"),
}


def run(*line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    own = {"MLOPS_", "DAGSTER_HOME", "MLFLOW_"}
    kept = {k: v for k, v in os.environ.items() if not any(k.startswith(one) for one in own)}
    return subprocess.run(
        line,
        cwd=folder,
        env={**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.e2e
@pytest.mark.parametrize("name", TABLES)
def test_DE1_init_makes_a_tested_project_that_runs_at_once(name, tables, tmp_path):
    where, target = TABLES[name]
    data = where.format(tables) if "://" in where else str(tables / where)
    made = run("mlops-dagster", "init", name, "--data", data, "--target", target, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    project = tmp_path / name

    ran = run("make", "run", folder=project)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = {line.split()[0]: line for line in ran.stdout.splitlines() if line.startswith("  ")}
    for noun in ("raw_data", "validated_data", "trained_model", "evaluation", "deployment"):
        assert "passed" in told[noun], ran.stdout

    status = run("mlops-dagster", "status", name, folder=project)
    assert "champion    version 1" in status.stdout, status.stdout + status.stderr
    if name == "churn":
        the_project_is_tested_and_checked(project)


def the_project_is_tested_and_checked(project: Path) -> None:
    tested = run("make", "test", folder=project)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    checked = run("mlops-dagster", "check", folder=project)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "6 expectations are read by Great Expectations" in checked.stdout

    written = project / "churn/lifecycle.yaml"
    written.write_text(written.read_text().replace("n_estimators", "n_estimator"))
    wrong = run("mlops-dagster", "check", folder=project)
    assert wrong.returncode == 1
    assert "'n_estimator' is not known. Did you mean 'n_estimators'" in wrong.stdout
    assert wrong.stderr == "Error: 1 of 9 do not hold.\n"
