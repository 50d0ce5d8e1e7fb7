"""`mlops-dagster init NAME --data TABLE --target COLUMN`: a small working project for one table."""

import codecs
import os
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml

from mlops_dagster.cli.sample import TAB, Address, find_table, read_sample
from mlops_dagster.errors import SpecError

if TYPE_CHECKING:
    from mlops_dagster.cli.project import Project


@click.command("init")
@click.argument("name")
@click.option("--data", help="A CSV, Parquet or JSON lines file, or a SQLAlchemy address.")
@click.option("--target", required=True, help="The column to predict.")
@click.option("--table", help="Which table of the database.")
@click.option(
    "--url-variable",
    metavar="NAME",
    help="The environment variable that holds the database's address.",
)
@click.option("--delimiter", help="Between a CSV file's columns: one character, or `tab`.")
@click.option("--decimal", help="A CSV file's decimal point, such as ','; default is a point.")
@click.option("--encoding", help="Of a CSV file's text, such as latin-1; default is UTF-8.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Where; default is ./NAME."
)
def command(**given: str | Path | None) -> None:
    """Write a small working project for one table; nothing is written when the table does not fit."""
    from mlops_dagster.cli.project import project_files

    name, folder = model_name(str(given["name"])), Path(given["folder"] or str(given["name"]))
    refuse_used(folder)
    address = find_address(given)
    project = make_project(name, address, target=str(given["target"]), folder=folder)
    files = project_files(project)
    check_declaration(files[f"{project.package}/lifecycle.yaml"])
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    report(project, folder=folder, address=address)


def model_name(name: str) -> str:
    """Refuse a name that a model cannot have, and offer one that it can."""
    if re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name):
        return name
    offered = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    message = (
        f"NAME: {name!r} stood there; needed are lower case letters, digits and underscores, a letter "
        f"first, at most 60. Use {offered or 'churn'!r}."
    )
    raise SpecError(message)


def refuse_used(folder: Path) -> None:
    """Refuse a folder that holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder} is there already and not empty. Give another --folder, or remove it."
        raise SpecError(message)


def find_address(given: "dict[str, str | Path | None]") -> Address:
    """Find where the table is. A password stays out of every file: its variable is named instead."""
    variable = str(given["url_variable"]) if given["url_variable"] else None
    data = given["data"] or (os.environ.get(variable) if variable else None)
    if not data:
        message = (
            f"--url-variable: {variable} is not set. Set it to the database's address."
            if variable
            else "--data: say where the table is: a file, or a database's address."
        )
        raise SpecError(message)
    table = str(given["table"]) if given["table"] else None
    address = Address(text=str(data), table=table, url_variable=variable)
    if address.is_sql and address.has_password and not variable:
        message = (
            "--data: the address holds a password, which must not stand in a file. Put the address into "
            "an environment variable and name it: --url-variable DATABASE_URL"
        )
        raise SpecError(message)
    if not address.is_sql:
        return replace(address, **csv_options(given))
    return Address(text=address.text, table=find_table(address), url_variable=variable)


def csv_options(given: "dict[str, str | Path | None]") -> dict[str, str]:
    """Read how a CSV file is written. Raises: SpecError when it cannot be written so."""
    delimiter, encoding = str(given["delimiter"] or ""), str(given["encoding"] or "")
    delimiter = TAB if delimiter in {"tab", r"\t"} else delimiter
    decimal = str(given["decimal"] or "")
    for option, said in (("--delimiter", delimiter), ("--decimal", decimal)):
        if len(said) > 1:
            message = (
                f"{option}: {said!r} stood there; needed is one character, such as ';' or ','."
            )
            raise SpecError(message)
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError as error:
        message = f"--encoding: {encoding!r} is no encoding. Use one such as 'latin-1' or 'cp1252'."
        raise SpecError(message) from error
    return {"delimiter": delimiter, "encoding": encoding, "decimal": decimal}


def make_project(name: str, address: Address, *, target: str, folder: Path) -> "Project":
    """Look at the table and guess. Raises: DataNotFitError when it does not fit."""
    from mlops_dagster.cli.guesses import guess
    from mlops_dagster.cli.project import Project

    rows = read_sample(address).to_pandas()
    source, because = source_of(address, folder=folder)
    return Project(
        name=name,
        target=target,
        source=source,
        source_because=because,
        rows=rows,
        guesses=guess(rows, target=target),
    )


def source_of(address: Address, *, folder: Path) -> tuple[str, str]:
    """Write the source as YAML, and say what should be known of it."""
    from mlops_dagster.cli.project import text

    if not address.is_sql:
        place = address.text if "://" in address.text else absolute(address.text, folder=folder)
        options = ", ".join(f"{key}: {text(value)}" for key, value in address.options.items())
        told = f", options: {{{options}}}" if options else ""
        return f"{{kind: file, path: {text(place)}{told}}}", "read whole each time"
    if address.url_variable:
        where = f"url_variable: {address.url_variable}"
        because = f"{address.url_variable} must hold the address when it runs"
    else:
        where, because = f"url: {text(absolute_sqlite(address.text))}", "read whole each time"
    return f"{{kind: sql, {where}, table: {text(str(address.table))}}}", because


def absolute(path: str, *, folder: Path) -> str:
    """Write a path so that it is found from the project's folder."""
    place = Path(path).resolve()
    root = folder.resolve()
    return str(place.relative_to(root)) if place.is_relative_to(root) else str(place)


def absolute_sqlite(url: str) -> str:
    """Write a SQLite address so that it is found from any folder."""
    head, separator, path = url.partition(":///")
    if (
        not head.startswith("sqlite")
        or not separator
        or not path
        or path.startswith((":", "file:"))
    ):
        return url
    return f"{head}:///{Path(path).resolve()}"


def check_declaration(text: str) -> None:
    """Read the declaration before anything is written."""
    from mlops_dagster.declaration_file import read_declaration, render_with

    read_declaration(yaml.safe_load(text), render_with({}))


def report(project: "Project", *, folder: Path, address: Address) -> None:
    """Say what was guessed, and the two commands."""
    guesses = project.guesses
    click.echo(f"{folder}: the model {project.name} from {address.shown}, {guesses.rows} rows")
    click.echo(f"  task        {guesses.task.value}: {guesses.task_because}")
    click.echo(f"  key         {', '.join(guesses.key) or 'none'}: {guesses.key_because}")
    click.echo(f"  event_time  {guesses.event_time or 'none'}: {guesses.event_time_because}")
    click.echo(f"  held out    {guesses.split.because}")
    click.echo(f"  inputs      {len(guesses.inputs)} columns")
    for name, because in guesses.excluded.items():
        click.echo(f"  left out    {name}: {because}")
    if address.url_variable:
        click.echo(f"  address     is read from {address.url_variable}; it stands in no file")
    click.echo(f"Next: cd {folder} && mlops-dagster check && make run && make test")
    if find_spec("pytest") is None:
        click.echo("      make test needs pytest: pip install pytest")
