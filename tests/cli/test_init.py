import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mlops_dagster.cli.main import main
from mlops_dagster.declaration_file import load_lifecycle


def init(*arguments: object, folder: Path):
    return CliRunner().invoke(main, ["init", *map(str, arguments), "--folder", str(folder)])


def written(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def test_a_project_is_small_and_complete(tables, tmp_path):
    result = init(
        "churn", "--data", tables / "messy.csv", "--target", "left", folder=tmp_path / "p"
    )
    assert result.exit_code == 0, result.output
    assert written(tmp_path / "p") == [
        ".gitignore",
        "Makefile",
        "README.md",
        "churn/__init__.py",
        "churn/definitions.py",
        "churn/features.py",
        "churn/lifecycle.yaml",
        "pytest.ini",
        "tests/test_churn.py",
        "workspace.yaml",
    ]


def test_each_guess_is_explained_in_the_declaration_and_on_the_screen(tables, tmp_path):
    result = init(
        "churn", "--data", tables / "messy.csv", "--target", "left", folder=tmp_path / "p"
    )
    text = (tmp_path / "p/churn/lifecycle.yaml").read_text()
    for because in (
        "'left' has two values: 'no', 'yes'",
        "a different value in every row",
        "a time in every row, 2024-01-01 to 2024-10-26",
        "says the same as the target in every row",
        "the newest 60 of 300 rows by time",
    ):
        assert because in text
        assert because in result.output


def test_the_declaration_that_is_written_is_read_back(tables, tmp_path):
    init("churn", "--data", tables / "messy.csv", "--target", "left", folder=tmp_path / "p")
    spec = load_lifecycle(tmp_path / "p/churn/lifecycle.yaml")
    assert (spec.name, spec.key, spec.event_time) == ("churn", ("Customer ID",), "signed up")


def test_a_name_of_pythons_own_gets_another_package(tables, tmp_path):
    result = init(
        "queue", "--data", tables / "cancer.csv", "--target", "target", folder=tmp_path / "p"
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "p/queue_model/lifecycle.yaml").exists()


def test_a_word_of_the_language_gets_another_package(tables, tmp_path):
    result = init(
        "class", "--data", tables / "cancer.csv", "--target", "target", folder=tmp_path / "p"
    )
    assert result.exit_code == 0, result.output
    assert "class_model.definitions" in (tmp_path / "p/workspace.yaml").read_text()


def test_the_commands_run_with_the_python_that_made_the_project(tables, tmp_path):
    init("churn", "--data", tables / "messy.csv", "--target", "left", folder=tmp_path / "p")
    planned = subprocess.run(
        ["make", "-n", "run", "test"],
        cwd=tmp_path / "p",
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f'"{sys.executable}" -m mlops_dagster.cli.main run churn' in planned
    assert f'"{sys.executable}" -m pytest -q tests' in planned
    assert "The tests need pytest: pip install pytest" in planned


def test_a_csv_file_of_another_kind_is_read_and_declared_as_it_was_said(tmp_path):
    lines = [f"{n % 7};Café {n % 3};{n % 2}" for n in range(40)]
    (tmp_path / "visits.csv").write_text("\n".join(["size;place;left", *lines]), "latin-1")
    said = ("--delimiter", ";", "--encoding", "latin-1", "--target", "left")
    result = init("visits", "--data", tmp_path / "visits.csv", *said, folder=tmp_path / "p")
    assert result.exit_code == 0, result.output
    source = load_lifecycle(tmp_path / "p/visits/lifecycle.yaml").ingest.source
    assert (source.options.delimiter, source.options.encoding) == (";", "latin-1")


def test_a_decimal_comma_is_read_once_it_is_said(tmp_path):
    lines = [f"{n % 7},{n % 10}5;{n % 3};{n % 2}" for n in range(40)]
    (tmp_path / "visits.csv").write_text("\n".join(["size;place;left", *lines]))
    said = ["visits", "--data", tmp_path / "visits.csv", "--delimiter", ";", "--target", "left"]
    refused = init(*said, folder=tmp_path / "p")
    assert "'size' holds numbers with a decimal comma, such as '0,05'" in refused.stderr
    assert not (tmp_path / "p").exists()
    result = init(*said, "--decimal", ",", folder=tmp_path / "p")
    assert result.exit_code == 0, result.output
    assert "# given size: float64" in (tmp_path / "p/visits/lifecycle.yaml").read_text()


def test_a_password_never_reaches_a_file_or_the_screen(tables, tmp_path):
    url = f"sqlite://ada:secret@/{tables / 'cellar.db'}"
    result = init("wine", "--data", url, "--target", "target", folder=tmp_path / "p")
    assert result.exit_code == 1
    assert "--url-variable DATABASE_URL" in result.stderr
    assert "secret" not in result.output
    assert not (tmp_path / "p").exists()


def test_the_address_is_named_by_its_variable(tables, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLAR", f"sqlite:///{tables / 'cellar.db'}")
    result = init("wine", "--url-variable", "CELLAR", "--target", "target", folder=tmp_path / "p")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "p/wine/lifecycle.yaml").read_text()
    assert "url_variable: CELLAR, table: wine" in text
    assert "cellar.db" not in text


BROKEN = {
    "missing file": (
        ["--data", "custmers.csv"],
        "there is no file .*custmers.csv. Did you mean 'cust",
    ),
    "no table": (["--data", "picture.csv"], "cannot be read as csv|column number"),
    "unknown kind": (["--data", "notes.docx"], "suffix"),
    "missing target": (["--data", "customers.csv", "--target", "churnd"], "Did you mean 'churned'"),
    "semicolons": (
        ["--data", "semicolons.csv"],
        "one column, named 'id;churned': the file looks separated by.*--delimiter ';'",
    ),
    "tabs": (["--data", "tabs.csv"], "looks separated by .*--delimiter tab"),
    "latin-1": (
        ["--data", "latin.csv"],
        r"latin.csv: the columns \['place'\] hold no text.*--encoding 'latin-1'",
    ),
    "latin-1 header": (["--data", "header.csv"], "header.csv is not UTF-8 text: its first line"),
    "long delimiter": (["--data", "customers.csv", "--delimiter", ";;"], "needed is one character"),
    "no encoding": (
        ["--data", "customers.csv", "--encoding", "klingon"],
        "'klingon' is no encoding",
    ),
    "no database": (["--data", "sqlite:///nowhere.db"], "there is no file nowhere.db"),
    "no address": (["--data", "postgresql://host:notaport/db"], "no SQLAlchemy address"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_on_a_broken_table_nothing_is_written_and_it_says_why(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("customers.csv").write_text("id,churned\n" + "\n".join(f"{n},{n % 2}" for n in range(40)))
    Path("picture.csv").write_bytes(bytes(range(256)) * 20)
    Path("notes.docx").write_text("x")
    Path("semicolons.csv").write_text("id;churned\n" + "1;0\n" * 40)
    Path("tabs.csv").write_text("id\tchurned\n" + "1\t0\n" * 40)
    Path("latin.csv").write_text("place,churned\n" + "Café,0\n" * 40, "latin-1")
    Path("header.csv").write_text("café,churned\n" + "1,0\n" * 40, "latin-1")
    before = written(tmp_path)
    arguments, message = BROKEN[case]
    result = init("churn", "--target", "churned", *arguments, folder=tmp_path / "p")
    assert result.exit_code == 1
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.output
    assert written(tmp_path) == before


def test_a_folder_that_is_not_empty_is_left_alone(tables, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    result = init("churn", "--data", tables / "cancer.csv", "--target", "target", folder=tmp_path)
    assert result.exit_code == 1
    assert "is there already and not empty" in result.stderr
    assert written(tmp_path) == ["mine.txt"]


def test_a_name_that_a_model_cannot_have_is_mended():
    result = CliRunner().invoke(main, ["init", "Churn-2024", "--data", "x", "--target", "y"])
    assert result.exit_code == 1
    assert "Use 'churn_2024'" in result.stderr


@pytest.mark.parametrize(
    ("count", "classes", "parameters"),
    [
        (1_500, 2, {"n_estimators": 200, "min_samples_leaf": 3}),
        (3_000, 2, {"early_stopping": True}),
        (3_000, 3, {}),
        (20_000, 2, {}),
    ],
)
def test_what_is_fitted_stops_before_it_learns_noise(tmp_path, count, classes, parameters):
    kinds = ["a", "b"] * (count // 2)
    kinds[:10] = ["rare"] * 10 if classes == 3 else kinds[:10]
    table = pd.DataFrame({"size": np.arange(count) / 7, "kind": kinds})
    table.to_csv(tmp_path / "table.csv", index=False)
    made = init(
        "kinds", "--data", tmp_path / "table.csv", "--target", "kind", folder=tmp_path / "p"
    )
    assert made.exit_code == 0, made.output
    assert load_lifecycle(tmp_path / "p/kinds/lifecycle.yaml").train.parameters == parameters
