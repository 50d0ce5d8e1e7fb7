"""The operations database on SQLite and PostgreSQL, in this process and in several."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mlops_dagster.errors import ConflictError, StoreError
from mlops_dagster.stores import leases
from mlops_dagster.stores.processes import ProcessName
from mlops_dagster.stores.sql_operations import SqlOperations
from mlops_dagster.testing.operations import MODEL, SOON, OperationsContract, a_finding

COUNT = """
import sys
from datetime import timedelta
from pathlib import Path
from mlops_dagster.stores.sql_operations import SqlOperations
url, counter, name = sys.argv[1:]
operations = SqlOperations.embedded(Path(url)) if "://" not in url else SqlOperations(url)
for _ in range(10):
    with operations.hold("counter", holder=name):
        Path(counter).write_text(str(int(Path(counter).read_text()) + 1))
"""
HOLD = """
import sys, threading
from mlops_dagster.stores.sql_operations import SqlOperations
with SqlOperations(sys.argv[1]).hold("a", holder="the dead"):
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path}/operations.db"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request):
    """Make an initialised database of each kind."""
    address = request.getfixturevalue(request.param)
    SqlOperations.create_schema(address)
    return address


@pytest.fixture
def operations(url):
    opened = SqlOperations(url)
    yield opened
    opened.close()


class TestSqlOperations(OperationsContract):
    @pytest.fixture
    def operations(self, operations):
        return operations


def processes(script, arguments):
    """Run a script once for each list of arguments, all at once."""
    started = [
        subprocess.Popen([sys.executable, "-c", script, *one], stderr=subprocess.PIPE, text=True)
        for one in arguments
    ]
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said


def test_processes_that_count_under_a_lease_lose_no_update(url, tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes(COUNT, [(url, str(counter), f"process {n}") for n in range(3)])
    assert counter.read_text() == "30"


def test_processes_that_open_an_embedded_database_first_all_get_it(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    path = tmp_path / "home" / "operations.db"
    processes(COUNT, [(str(path), str(counter), f"process {n}") for n in range(3)])
    assert counter.read_text() == "30"
    assert [one.name for one in path.parent.glob("*.db*")][:1] == ["operations.db"]
    assert not list(path.parent.glob(".*"))


def test_the_lease_of_a_killed_process_is_free_at_once(operations, url):
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert operations.holder("a") == "the dead"
        os.kill(holder.pid, signal.SIGKILL)
    start = time.monotonic()
    with operations.hold("a", holder="the next", wait=timedelta(seconds=5)):
        assert time.monotonic() - start < 2


def test_a_lease_of_another_host_ends_after_its_time_to_live(url, monkeypatch):
    elsewhere = ProcessName(host="elsewhere", pid=1, started="1")
    ttl = timedelta(milliseconds=600)
    operations = SqlOperations(url, lease=ttl)
    with monkeypatch.context() as patched:
        patched.setattr(leases.ProcessName, "own", classmethod(lambda _: elsewhere))
        operations._leases._try_claim("a", "claim", holder="far away")
    assert operations.holder("a") == "far away"
    with operations.hold("a", holder="near", wait=timedelta(seconds=5)):
        assert operations.holder("a") == "near"
    operations.close()


def test_a_lease_is_renewed_for_as_long_as_it_is_held(url):
    operations = SqlOperations(url, lease=timedelta(milliseconds=300))
    with operations.hold("a", holder="one"):
        with (
            pytest.raises(ConflictError, match="one has held it"),
            operations.hold("a", holder="two", wait=timedelta(seconds=1)),
        ):
            pytest.fail("two holders at once")
        assert operations.holder("a") == "one"
    operations.close()


def test_a_holder_that_lost_its_lease_is_told(operations):
    with (
        pytest.raises(ConflictError, match="lost it while at work"),
        operations.hold("a", holder="one"),
        operations._database.writing() as connection,
    ):
        connection.execute(leases.claims.delete())


def test_a_second_hold_of_the_same_holder_from_another_connection_outlives_the_first(url):
    first, second = SqlOperations(url), SqlOperations(url)
    outer = first.hold("a", holder="run")
    outer.__enter__()
    with second.hold("a", holder="run", wait=SOON):
        outer.__exit__(None, None, None)
        assert first.holder("a") == "run"
    assert first.holder("a") is None
    first.close()
    second.close()


def test_a_forked_child_uses_connections_of_its_own(operations):
    operations.add_findings([a_finding()])
    child = os.fork()
    if child == 0:
        os._exit(0 if len(operations.findings(*MODEL)) == 1 else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert len(operations.findings(*MODEL)) == 1


def test_a_database_without_our_tables_names_the_command_that_makes_them(sqlite):
    with pytest.raises(StoreError, match="mlops-dagster setup"):
        SqlOperations(sqlite)


@pytest.mark.parametrize(
    ("version", "way"), [(99, "Upgrade the package"), (0, "mlops-dagster setup")]
)
def test_a_database_of_another_format_says_the_way_out(sqlite, version, way):
    SqlOperations.create_schema(sqlite)
    engine = sa.create_engine(sqlite)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE mlops_schema SET version = {version}")
    engine.dispose()
    with pytest.raises(StoreError, match=way):
        SqlOperations(sqlite)


def test_making_the_tables_again_changes_nothing(url, operations):
    operations.add_findings([a_finding()])
    SqlOperations.create_schema(url)
    assert len(operations.findings(*MODEL)) == 1


def test_making_the_tables_again_adds_the_indexes_that_an_older_format_lacked(sqlite):
    SqlOperations.create_schema(sqlite)
    engine = sa.create_engine(sqlite)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX mlops_findings_since")
    SqlOperations.create_schema(sqlite)
    names = {index["name"] for index in sa.inspect(engine).get_indexes("mlops_findings")}
    engine.dispose()
    assert "mlops_findings_since" in names


def test_making_the_tables_again_adds_the_columns_that_an_older_format_lacked(sqlite):
    SqlOperations.create_schema(sqlite)
    engine = sa.create_engine(sqlite)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE mlops_findings DROP COLUMN severity")
        connection.exec_driver_sql("UPDATE mlops_schema SET version = 2")
    engine.dispose()
    SqlOperations.create_schema(sqlite)
    operations = SqlOperations(sqlite)
    operations.add_findings([a_finding(severity="minor")])
    assert operations.newest_findings(*MODEL) == [a_finding(severity="minor")]
    operations.close()


def test_an_unreachable_database_is_named_without_its_password():
    with pytest.raises(StoreError, match="operations: no answer from") as raised:
        SqlOperations("postgresql+psycopg://ann:secret@127.0.0.1:1/x")
    assert "secret" not in str(raised.value)


def test_an_address_of_no_database_is_a_store_error():
    with pytest.raises(StoreError, match="cannot be opened"):
        SqlOperations("nothing://x")


def test_a_path_with_odd_characters_opens(tmp_path):
    operations = SqlOperations.embedded(tmp_path / "a #%? home" / "operations.db")
    assert operations.held("") == []
    operations.close()


def test_this_process_is_alive_and_a_number_given_again_is_not():
    own = ProcessName.own()
    assert not own.is_gone(seen_from=own)
    reused = ProcessName(own.host, own.pid, "1")
    assert reused.is_gone(seen_from=own)
    elsewhere = ProcessName("elsewhere", own.pid, "1")
    assert not elsewhere.is_gone(seen_from=own)
