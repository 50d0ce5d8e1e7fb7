"""`mlops-dagster check`: imports and resolves everything that is declared, one line per finding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
    import pyarrow as pa

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
    bench = open_bench()
    found = [
        *(judge(where, look) for where, look in looks_at_stores(bench)),
        *(
            replace(one, where=f"{name}  {one.where}")
            for name, spec in declared_models().items()
            for one in found_of(spec, bench)
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


def found_of(spec: "LifecycleSpec", bench: "Workbench") -> Iterator[Found]:
    """Look at one model: its code, its rules, its estimator, and the columns that it names."""
    code = [judge(where, partial(look_at_function, path)) for where, path in code_paths(spec)]
    yield from code
    suite = judge("validate", partial(look_at_expectations, spec))
    yield suite
    yield judge("train.estimator", partial(look_at_estimator, spec))
    # Wrong code or rules are told already; what they would make or name is not known.
    if spec.ingest.source.kind != "asset" and all(one.holds for one in (*code, suite)):
        from mlops_dagster.cli.check_columns import stored_columns

        yield from found_of_source(spec, stored=stored_columns(bench, spec))


def found_of_source(spec: "LifecycleSpec", *, stored: "pa.Schema | None" = None) -> Iterator[Found]:
    """Read the first rows of the source, and compare its columns with those that are named.

    `stored` are the columns that were taken so far.
    """
    from mlops_dagster.cli.check_columns import Seen, look_at_rows, make_columns, wrong_columns
    from mlops_dagster.validate.suite_file import expectations_of

    kind = spec.ingest.source.kind
    try:
        rows = look_at_rows(spec, stored)
    except MlopsError as error:
        yield Found(where="ingest.source", holds=False, said=str(error))
        return
    said = f"{kind} answers: {rows.num_columns} columns"
    yield Found(where="ingest.source", holds=True, said=said)
    made: tuple[str, ...] | None = None
    try:
        made = make_columns(spec, rows)
    except MlopsError as error:
        yield Found(where="features.functions", holds=False, said=str(error))
    seen = Seen(source=tuple(rows.column_names), made=made)
    expectations = expectations_of(spec.validate_, where=f"{spec.name}.validate")
    wrong = wrong_columns(spec, seen, expectations)
    for where, said in wrong:
        yield Found(where=where, holds=False, said=said)
    if not wrong:
        yield Found(where="columns", holds=True, said="every column that is named is there")


def code_paths(spec: "LifecycleSpec") -> Iterator[tuple[str, str]]:
    """List the functions that are declared by their import paths."""
    if spec.ingest.source.kind == "function":
        yield "ingest.source.path", spec.ingest.source.path
    for name, lookup in spec.ingest.lookups.items():
        if lookup.kind == "function":
            yield f"ingest.lookups.{name}.path", lookup.path
    labels, business = spec.monitor.labels, spec.evaluate.business
    if labels is not None and labels.source.kind == "function":
        yield "monitor.labels.source.path", labels.source.path
    if business is not None and business.function is not None:
        yield "evaluate.business.function", business.function
    for index, path in enumerate(spec.features.functions):
        yield f"features.functions[{index}]", path


def look_at_function(path: str) -> str:
    """Import a function."""
    from mlops_dagster.scoring.functions import resolve_function

    resolve_function(path, where=path)
    return path


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
