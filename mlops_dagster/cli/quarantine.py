"""`mlops-dagster quarantine list | export | replay`: the rows that were kept out of a model."""

import logging
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_dagster.cli.location import WORKSPACE, find_model, open_bench
from mlops_dagster.cli.model_argument import MODEL
from mlops_dagster.errors import SpecError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_dagster.declaration import ModelIdentity
    from mlops_dagster.validate.quarantine import Held
    from mlops_dagster.workbench import StepContext

BATCH = click.option("--batch", type=int, help="Only the rows of this batch.")
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("quarantine")
def command() -> None:
    """Look at the rows that were refused, and take mended ones back."""


@command.command("list")
@MODEL
@WORKSPACE
def list_batches(*, model: str, workspace: Path) -> None:
    """List the batches that have refused rows, and why."""
    from mlops_dagster.validate.quarantine import listed

    held = listed(open_bench(), find_model(workspace, model).identity)
    if not held:
        click.echo(f"{model}: no row was ever refused.")
    for one in held:
        click.echo(held_line(one))


@command.command("export")
@MODEL
@click.option("--to", type=FILE, required=True, help="A .csv or .parquet file to write.")
@BATCH
@WORKSPACE
def export_rows(*, model: str, to: Path, batch: int | None, workspace: Path) -> None:
    """Write the refused rows that wait, so that they can be mended."""
    from mlops_dagster.validate.quarantine import export

    rows = export(open_bench(), find_model(workspace, model).identity, batch=batch)
    if not rows.num_rows:
        click.echo(f"{model}: no refused row waits; {to} was not written.")
        return
    write_rows(rows, to)
    click.echo(
        f"{rows.num_rows} rows written to {to}. Mend them, then: {replay_line(model, to, batch)}"
    )


@command.command("replay")
@MODEL
@click.option("--batch", type=int, required=True, help="The batch that the rows are from.")
@click.option("--rows", type=FILE, help="The mended rows; without it they come back as they are.")
@WORKSPACE
def replay_rows(*, model: str, batch: int, rows: Path | None, workspace: Path) -> None:
    """Take rows back: the next validation judges them anew."""
    from mlops_dagster.validate.quarantine import replay

    identity = find_model(workspace, model).identity
    back = replay(outside_step(identity), batch=batch, mended=read_rows(rows) if rows else None)
    replaced = (
        f"{back.replaced} rows were replaced by newer ones since; left out. "
        if back.replaced
        else ""
    )
    click.echo(
        f"{back.rows} rows of batch {batch} are back in raw_data. {replaced}"
        f"Judge them: mlops-dagster run {model} --job update"
    )


def outside_step(model: "ModelIdentity") -> "StepContext":
    """Make the context of work that a person asks for outside any Dagster run."""
    from mlops_dagster.workbench import StepContext

    run_id = f"cli-{uuid.uuid4()}"
    return StepContext(
        model=model,
        bench=open_bench(),
        run_id=run_id,
        root_run_id=run_id,
        noun="quarantine",
        log=logging.getLogger("mlops_dagster"),
    )


def held_line(held: "Held") -> str:
    """Write one batch as a line."""
    return (
        f"batch {held.batch}  {held.quarantined_at:%Y-%m-%d %H:%M}  {held.rows} rows, "
        f"{held.waiting} wait  {', '.join(held.expectations)}: {held.reason}"
    )


def replay_line(model: str, file: Path, batch: int | None) -> str:
    """Say how the rows come back."""
    number = "N" if batch is None else batch
    return f"mlops-dagster quarantine replay {model} --batch {number} --rows {file}"


def write_rows(rows: "pa.Table", file: Path) -> None:
    """Write rows as the suffix says."""
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    writers = {".csv": pacsv.write_csv, ".parquet": pq.write_table}
    if file.suffix not in writers:
        where = "--to: the suffix"
        raise SpecError.unknown(where, file.suffix, writers)
    fresh = file.with_name(file.name + ".part")
    try:
        writers[file.suffix](rows, fresh)
        fresh.replace(file)
    except OSError as error:
        message = f"--to: {file} cannot be written: {first_line(error)}. Is its folder there?"
        raise SpecError(message) from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        message = (
            f"--to: a CSV file cannot hold these rows: {first_line(error)}. Name a .parquet file."
        )
        raise SpecError(message) from error


def read_rows(file: Path) -> "pa.Table":
    """Read mended rows; those of a CSV file as text, of which an empty place without quotes is null."""
    import pyarrow as pa

    from mlops_dagster.ingest.source_file import read
    from mlops_dagster.ingest.spec import FileSource

    if file.suffix != ".csv":
        return pa.concat_tables(read(FileSource(path=str(file)), where="--rows"))
    try:
        return read_texts(file)
    except (OSError, pa.ArrowInvalid) as error:
        message = f"--rows: {file} cannot be read as CSV: {first_line(error)}."
        raise SpecError(message) from error


def read_texts(file: Path) -> "pa.Table":
    """Read a CSV file without guessing: '007', 'NA' and a quoted nothing stay what they are."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    parse = pacsv.ParseOptions(newlines_in_values=True)
    with pacsv.open_csv(file, parse_options=parse) as reader:
        names = reader.schema.names
    convert = pacsv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pacsv.read_csv(file, parse_options=parse, convert_options=convert)
