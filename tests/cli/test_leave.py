import subprocess
import sys

import pytest

HEAD = "import atexit, sys, threading\nfrom mlops_dagster.cli.leave import run_and_leave\n"


def left(main: str) -> subprocess.CompletedProcess[str]:
    code = f"{HEAD}def main():\n    {main}\nrun_and_leave(main)\n"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("main", "code"),
    [("pass", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('no')", 1), ("1 / 0", 1)],
)
def test_the_exit_code_is_what_was_asked_for(main, code):
    assert left(main).returncode == code


def test_an_error_is_told_with_its_traceback():
    assert left("1 / 0").stderr.endswith("ZeroDivisionError: division by zero\n")


def test_what_was_registered_meanwhile_runs_and_output_is_flushed():
    done = left("atexit.register(print, 'cleaned'); print('done', end=' ')")
    assert done.stdout == "done cleaned\n"


def test_a_thread_is_waited_for():
    done = left("threading.Thread(target=lambda: print('thread')).start(); print('main')")
    assert sorted(done.stdout.split()) == ["main", "thread"]


def test_nothing_is_freed_piece_by_piece():
    freed = "class One:\n        def __del__(self): print('freed')\n    sys.kept = One()"
    assert left(freed).stdout == ""
