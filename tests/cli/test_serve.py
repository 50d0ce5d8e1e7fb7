import socket

from click.testing import CliRunner

from mlops_dagster.cli.main import main


def test_a_model_that_nothing_serves_ends_the_endpoint_with_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    for name in ("MLOPS_LAKE", "MLFLOW_TRACKING_URI", "MLOPS_OPERATIONS_URL"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(main, ["serve", "churn", "--port", "0"])
    assert done.exit_code == 1
    assert "Error: churn: nothing can be served. churn has no version with the alias" in done.output
    assert "Traceback" not in done.output
    assert "http://" not in done.stdout


def test_a_port_that_is_taken_is_told_with_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["serve", "churn", "--port", str(port)])
    assert done.exit_code == 1
    assert f"nothing can listen at 127.0.0.1:{port}: Address already in use" in done.output
    assert "--port" in done.output
