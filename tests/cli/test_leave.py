import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = "import atexit, sys, threading\nfrom mlops_dagster.cli.leave import run_and_leave\n"


def left(main: str) -> subprocess.CompletedProcess[str]:
    code = f"{HEAD}def main():\n    {main}\nrun_and_leave(main)\n"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("main", "code"),
    [
        ("pass", 0),
        ("sys.exit()", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('no')", 1),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", 130),
    ],
)
def test_the_exit_code_is_what_was_asked_for(main, code):
    assert left(main).returncode == code


def test_an_error_is_told_with_its_traceback():
    assert left("1 / 0").stderr.endswith("ZeroDivisionError: division by zero\n")


def test_what_was_registered_meanwhile_runs_and_output_is_flushed():
    done = left("atexit.register(print, 'cleaned'); print('done', end=' ')")
    assert done.stdout == "done cleaned\n"


def test_a_thread_is_waited_for():
    done = left("threading.Thread(target=lambda: sys.stdout.write('thread\\n')).start()")
    assert done.stdout == "thread\n"


def test_nothing_is_freed_piece_by_piece():
    freed = "class One:\n        def __del__(self): print('freed')\n    global kept; kept = One(); print('done')"
    assert left(freed).stdout == "done\n"


def test_logging_is_ended():
    shut = "import logging; logging.Handler.flush = lambda self: print('flushed'); kept = logging.Handler()"
    assert "flushed" in left(f"{shut}; globals()['kept'] = kept").stdout


def test_output_that_could_not_be_written_is_no_success():
    with Path("/dev/full").open("w") as full:
        code = f"{HEAD}run_and_leave(lambda: print('x'))"
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full, stderr=subprocess.DEVNULL, env=environment, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 120


def test_the_operations_database_is_one_file_again(tmp_path):
    file = tmp_path / "operations.db"
    use = f"from mlops_dagster.stores.sql_operations import SqlOperations as S; from pathlib import Path; globals().update(kept=S.embedded(Path({str(file)!r}))); kept.moves('churn', 'all')"
    done = left(use)
    assert (done.returncode, done.stderr) == (0, "")
    assert [one.name for one in tmp_path.iterdir()] == ["operations.db"]
