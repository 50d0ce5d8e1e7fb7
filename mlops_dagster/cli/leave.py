"""Ending a process at once."""

import atexit
import logging
import os
import sys
from collections.abc import Callable


def run_and_leave(main: Callable[[], object]) -> None:
    """Run `main`, then end the process without freeing what it holds piece by piece.

    Python takes a second to free what Dagster and MLflow loaded, a quarter of a short command. Threads are
    waited for, what was registered with `atexit` meanwhile runs, output is flushed, and the exit code is
    the one that `main` asked for; it is 1 when it raised, 130 when it was interrupted, 120 when what it
    printed could not be written. What it wrote to a file that is still open is not flushed.
    """
    code = 1

    @atexit.register
    def leave() -> None:  # registered first, so it runs last
        lost = 120
        try:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            lost = 0
        finally:
            os._exit(code or lost)

    try:
        main()
        code = 0
    except SystemExit as asked:
        code = asked.code % 256 if isinstance(asked.code, int) else int(asked.code is not None)
        raise
    except KeyboardInterrupt:
        code = 130
        raise
