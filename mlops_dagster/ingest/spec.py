"""What can be declared of where rows come from."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from mlops_dagster.declaration import Duration, LabelJoin, LookupJoin, Name, Spec, VariableName
from mlops_dagster.errors import SpecError, redact

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
"""The format that a file's suffix means."""


class CsvOptions(Spec):
    """How a CSV file is written, where that is not the usual way."""

    delimiter: str = Field(
        default="", max_length=1, description="One character; default is a comma."
    )
    quote: str = Field(default='"', max_length=1, description="The character around a text.")
    encoding: str = Field(default="utf8", description="The name of the character encoding.")
    decimal: str = Field(default=".", max_length=1, description="The decimal point.")
    null_values: tuple[str, ...] = Field(
        default=(), description="Words that mean null; default is what pandas and R write."
    )


class FileSource(Spec):
    """Files: one path, a folder, a glob, or any fsspec address; read whole each time, into memory.

    A file that is still being written would be read in part: write it under a name that starts with
    `.` or `_`, or elsewhere, and rename it when it is whole.
    """

    kind: Literal["file"] = "file"
    path: str = Field(
        min_length=1,
        description="A path relative to the working directory, a glob, or an address as s3://...",
    )
    format: Literal["csv", "tsv", "parquet", "jsonl"] | None = Field(
        default=None, description="The format; default is what the suffix says."
    )
    options: CsvOptions = Field(default=CsvOptions(), description="How CSV files are written.")
    storage: dict[str, str | int | float | bool] = Field(
        default={}, repr=False, description="Options of the fsspec file system."
    )


class SqlSource(Spec, hide_input_in_errors=True):
    """A table or query behind a SQLAlchemy address, read in batches of bounded size."""

    kind: Literal["sql"] = "sql"
    url: SecretStr | None = Field(
        default=None, description="A SQLAlchemy address, without a password."
    )
    url_variable: VariableName | None = Field(
        default=None, description="The name of the environment variable that holds the address."
    )
    table: str | None = Field(default=None, description="A table, or `schema.table`.")
    query: str | None = Field(default=None, description="A SELECT in place of a table.")
    columns: tuple[str, ...] = Field(default=(), description="Columns to read; default is all.")
    batch_rows: int = Field(default=50_000, ge=1, description="Rows that are fetched at a time.")

    @model_validator(mode="after")
    def one_of_each(self) -> "SqlSource":
        """Exactly one address and one thing to read."""
        if (self.url is None) == (self.url_variable is None):
            message = "sql source: give either url or url_variable (the name of a variable)."
            raise ValueError(message)
        if (self.table is None) == (self.query is None):
            message = "sql source: give either table or query."
            raise ValueError(message)
        return self


class FunctionSource(Spec):
    """A Python function that gives a DataFrame, an Arrow table, or an iterator of them.

    It is called with `since=<cursor or None>` when it takes `since`, else with nothing.
    """

    kind: Literal["function"] = "function"
    path: str = Field(pattern=r"^[\w.]+:[\w.]+$", description="`package.module:function`.")
    state: str | None = Field(
        default=None,
        pattern=r"^[\w.]+:[\w.]+$",
        description="`package.module:function` giving a text that changes when there is something new.",
    )


class AssetSource(Spec):
    """A Dagster asset that exists already; its value is a DataFrame or an Arrow table."""

    kind: Literal["asset"] = "asset"
    key: tuple[str, ...] = Field(min_length=1, description="The asset's key, part by part.")


class FileLookup(LookupJoin, FileSource):
    """A second table in files."""


class SqlLookup(LookupJoin, SqlSource):
    """A second table in a database."""


class FunctionLookup(LookupJoin, FunctionSource):
    """A second table from a function."""


Source = Annotated[
    FileSource | SqlSource | FunctionSource | AssetSource, Field(discriminator="kind")
]
LookupSpec = Annotated[FileLookup | SqlLookup | FunctionLookup, Field(discriminator="kind")]


class LabelsSpec(LabelJoin):
    """Where labels come from that are not in the rows: late, partial, out of order, corrected."""

    source: Source = Field(description="Where the labels are; read whole each time.")


class IngestSpec(Spec):
    """Where a model's rows come from, and how new ones are told from old ones."""

    source: Source = Field(description="Where the rows are.")
    cursor: str | None = Field(
        default=None,
        description="A column that only grows: a time or number of arrival. Without a key, a row that "
        "changes while it is the newest comes twice.",
    )
    lookback: Duration | None = Field(
        default=None,
        description="How far behind the cursor late and corrected rows are still read; needs a time "
        "as cursor and a key.",
    )
    without: tuple[str, ...] = Field(
        default=(),
        description="Columns that are left at the source; of one that was taken before, new rows have null "
        "and known ones keep what they have.",
    )
    lookups: dict[Name, LookupSpec] = Field(
        default={}, description="Second tables that features read, by name."
    )

    @model_validator(mode="after")
    def lookback_needs_cursor(self) -> "IngestSpec":
        """A lookback without a cursor would say nothing."""
        if self.lookback is not None and self.cursor is None:
            message = "ingest.lookback: there is no cursor to look back from; declare cursor."
            raise ValueError(message)
        return self


def guess_format(path: str, declared: str | None, *, where: str) -> str:
    """Tell a file's format: as declared, else as its suffix says (`.gz` and the like are ignored)."""
    if declared:
        return declared
    name = path.rsplit("/", 1)[-1].lower()
    for packed in (".gz", ".bz2", ".zip", ".xz", ".zst"):
        name = name.removesuffix(packed)
    suffix = "." + name.rsplit(".", 1)[-1]
    if suffix not in FORMATS:
        message = f"{where}: the suffix of {redact(path)}"
        raise SpecError.unknown(message, suffix, FORMATS)
    return FORMATS[suffix]
