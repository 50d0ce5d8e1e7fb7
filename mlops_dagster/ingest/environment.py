"""Reads one environment variable: a secret is declared by the name of its variable."""

import os
from collections.abc import Mapping

from mlops_dagster.errors import SpecError


def environment(name: str, *, where: str, variables: Mapping[str, str] | None = None) -> str:
    """Read a variable. Its value is a secret: it must not reach a log, an error or a record.

    Raises: SpecError naming the variable when it is not set.
    """
    # The only place in this room that sees the process's environment.
    known = os.environ if variables is None else variables
    if not (value := known.get(name, "")):
        message = f"{where}: the environment variable {name} is not set. Set it to the address."
        raise SpecError(message)
    return value
