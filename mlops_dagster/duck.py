"""DuckDB in memory. To open a database takes 20 ms, a connection to one that is open 0.4 ms."""

import os
import tempfile
from functools import cache
from pathlib import Path
from threading import Lock
from uuid import uuid4

import duckdb

_OPENING = Lock()


def connect() -> duckdb.DuckDBPyConnection:
    """Connect to this process's database: what is registered, or temporary, is the connection's own.

    For queries that make nothing else; those that might are for `compute`. Times are told in UTC. What
    a large query took stays with the process: for millions of rows open a database of its own.
    """
    with _OPENING:
        connection = _database(os.getpid()).cursor()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """Open it once a process: a fork has none of its parent's threads."""
    # Two databases that spill into one folder overwrite each other's files.
    spill = Path(tempfile.gettempdir()) / f"mlops_dagster_spill_{process}_{uuid4().hex}"
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": str(spill),
        }
    )
