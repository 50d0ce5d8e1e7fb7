"""What every command about one model takes, and how it finds the model without its code.

`status`, `why` and `history` read stores only: a name is enough, and a location that no longer loads
must not hide what happened.
"""

import click

from mlops_dagster.declaration import registered_name

MODEL = click.argument("model")


def split_name(model: str) -> tuple[str, str]:
    """Split `name/segment`; without a segment it is `all`."""
    name, _, segment = model.partition("/")
    return name, segment or "all"


def registry_name(model: str) -> str:
    """Name the registered model of `name` or `name/segment`."""
    name, segment = split_name(model)
    return registered_name(name, segment=segment)
