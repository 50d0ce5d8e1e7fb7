"""`mlops-dagster check`: imports and resolves everything that is declared, one line per finding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from mlops_dagster.cli.location import (
    WORKSPACE,
    declared_models,
    load_entry,
    load_locations,
    one_module,
    open_bench,
)
from mlops_dagster.errors import MlopsError, redact

if TYPE_CHECKING:
    from mlops_dagster.spec import LifecycleSpec
    from mlops_dagster.workbench import Workbench

Look: TypeAlias = Callable[[], str]
"""Looks at one thing, and says what it found. Raises: MlopsError when it does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One line of the report."""

    where: str
    holds: bool
    said: str


@click.command("check")
@click.option("--module", help="Check this module alone, such as `churn.definitions`.")
@WORKSPACE
def command(*, module: str | None, workspace: Path) -> None:
    """Import and resolve everything that is declared: code, rules, estimators, sources, stores."""
    if module:
        load_entry(one_module(module))
    else:
        load_locations(workspace)
    found = [
        *(judge(where, look) for where, look in looks_at_stores(open_bench())),
        *(
            judge(f"{name}  {where}", look)
            for name, spec in declared_models().items()
            for where, look in looks_at(spec)
        ),
    ]
    for one in found:
        click.echo(f"{'ok   ' if one.holds else 'WRONG'}  {one.where}: {one.said}")
    if wrong := sum(not one.holds for one in found):
        click.echo(f"Error: {wrong} of {len(found)} do not hold.", err=True)
        raise click.exceptions.Exit(1)


def judge(where: str, look: Look) -> Found:
    """Look, and keep what was said either way."""
    try:
        return Found(where=where, holds=True, said=look())
    except MlopsError as error:
        return Found(where=where, holds=False, said=str(error))


def looks_at_stores(bench: "Workbench") -> Iterator[tuple[str, Look]]:
    """List what is to be seen of the stores."""

    def operations() -> str:
        bench.operations.held("run:")
        return "answers"

    def registry() -> str:
        bench.registry.by_alias("mlops_dagster_check", "champion")
        return f"answers at {redact(bench.mlflow_address)}"

    def tables() -> str:
        bench.tables.latest("mlops_dagster_check/all/raw_data")
        return redact(bench.lake_root)

    yield "store  operations", operations
    yield "store  registry", registry
    yield "store  lake", tables


def looks_at(spec: "LifecycleSpec") -> Iterator[tuple[str, Look]]:
    """List what is to be seen of one model."""
    source = spec.ingest.source
    for where, path in code_paths(spec):
        yield where, partial(look_at_function, path)
    if source.kind != "asset":
        yield "ingest.source", partial(look_at_source, spec)
    yield "validate", partial(look_at_expectations, spec)
    yield "train.estimator", partial(look_at_estimator, spec)


def code_paths(spec: "LifecycleSpec") -> Iterator[tuple[str, str]]:
    """List the functions that are declared by their import paths."""
    if spec.ingest.source.kind == "function":
        yield "ingest.source.path", spec.ingest.source.path
    for name, lookup in spec.ingest.lookups.items():
        if lookup.kind == "function":
            yield f"ingest.lookups.{name}.path", lookup.path
    for index, path in enumerate(spec.features.functions):
        yield f"features.functions[{index}]", path


def look_at_function(path: str) -> str:
    """Import a function."""
    from mlops_dagster.scoring.functions import resolve_function

    resolve_function(path, where=path)
    return path


def look_at_source(spec: "LifecycleSpec") -> str:
    """Ask the source for its state: nothing is read."""
    from mlops_dagster.ingest.arrivals import source_state

    state = source_state(spec.identity, spec.ingest)
    return (
        f"{spec.ingest.source.kind} answers" if state else f"{spec.ingest.source.kind} is declared"
    )


def look_at_expectations(spec: "LifecycleSpec") -> str:
    """Have Great Expectations read the suite."""
    from mlops_dagster.validate.suite import parse
    from mlops_dagster.validate.suite_file import expectations_of

    where = f"{spec.name}.validate"
    expectations = expectations_of(spec.validate_, where=where)
    parse(expectations, where=where)
    return f"{len(expectations)} expectations are read by Great Expectations"


def look_at_estimator(spec: "LifecycleSpec") -> str:
    """Construct the estimator with its parameters."""
    from mlops_dagster.train.estimator import make_estimator

    make_estimator(spec.train, spec.task)
    return f"{spec.train.estimator} takes {len(spec.train.parameters)} declared parameters"
