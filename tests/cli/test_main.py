import subprocess
import sys

from click.testing import CliRunner

from mlops_dagster.cli.main import COMMANDS, main

HEAVY = {"dagster", "mlflow", "sklearn", "pandas", "great_expectations", "pyarrow", "sqlalchemy"}


def loaded_by(*arguments: str) -> set[str]:
    code = (
        "import sys\n"
        "from mlops_dagster.cli.main import main\n"
        f"main({list(arguments)!r}, standalone_mode=False)\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


def test_help_loads_no_heavy_library():
    assert not HEAVY & loaded_by("--help")


def test_the_help_of_each_command_loads_no_heavy_library():
    for name in COMMANDS:
        assert not HEAVY & loaded_by(name, "--help"), name


def test_every_command_has_help_and_the_name_it_is_listed_by():
    for name in COMMANDS:
        command = main.get_command(None, name)
        assert command.name == name
        assert command.help


def test_a_wrong_command_names_the_nearest_one():
    result = CliRunner().invoke(main, ["stauts"])
    assert result.exit_code == 2
    assert "Did you mean 'status'?" in result.output


def test_an_error_of_ours_is_one_message_without_a_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["run", "churn"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: There is no workspace.yaml here")
    assert "Traceback" not in result.output


def test_the_traceback_is_shown_on_demand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["--traceback", "run", "churn"])
    assert type(result.exception).__name__ == "SpecError"
