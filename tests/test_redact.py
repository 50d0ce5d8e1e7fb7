"""No secret of an address reaches a person, a log or a record."""

import pytest
from sqlalchemy.exc import OperationalError

from mlops_dagster.errors import StoreError, redact, redact_in

SHAPES = {
    "user and password": ("postgresql://ana:s3cret@db:5432/ml", "postgresql://db:5432/ml"),
    "at sign": ("postgresql://ana:s3@cret@db:5432/ml", "postgresql://db:5432/ml"),
    "slash": ("postgresql://ana:s3/cret@db:5432/ml", "postgresql://db:5432/ml"),
    "question mark": ("postgresql://ana:s3?cret@db/ml", "postgresql://db/ml"),
    "escaped": ("mysql+pymysql://ana:s3%2Fcret@db/ml", "mysql+pymysql://db/ml"),
    "token as user": ("https://s3cret@mlflow.example", "https://mlflow.example"),
    "query": ("postgresql:///ml?host=db&password=s3cret", "postgresql:///ml?host=***&password=***"),
    "odbc": ("mssql://?odbc_connect=DRIVER%3Dx%3BPWD%3Ds3cret", "mssql://?odbc_connect=***"),
    "signed": ("https://a.blob/c/f.csv?sv=1&sig=s3cret", "https://a.blob/c/f.csv?sv=***&sig=***"),
    "at sign in query": ("http://host?token=s3cret@x", "http://host?token=***"),
    "fragment": ("https://host/p?a=1#token=s3cret", "https://host/p?a=***&token=***"),
    "bucket": ("s3://key:s3cret@bucket/rows.csv", "s3://bucket/rows.csv"),
    "chained": ("simplecache::s3://key:s3cret@bucket/r.csv", "simplecache::s3://bucket/r.csv"),
    "account": ("abfss://box@acme.dfs.core/x", "abfss://box@acme.dfs.core/x"),
    "pairs": ("host=db user=ana password=s3cret", "host=db user=ana password=***"),
    "jdbc": ("jdbc:x://db/ml;user=a;password=s3cret", "jdbc:x://db/ml;user=a;password=***"),
    "plain": ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    "file": ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
    "path": ("data/design=3/rows.csv", "data/design=3/rows.csv"),
}


@pytest.mark.parametrize(("address", "shown"), SHAPES.values(), ids=SHAPES)
def test_an_address_is_shown_without_its_secret(address, shown):
    assert redact(address) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize("address", [one for one, _ in SHAPES.values()], ids=SHAPES)
def test_a_text_that_quotes_an_address_loses_its_secret(address):
    said = redact_in(f"cannot reach {address!r} now", address)
    assert "s3cret" not in said
    assert said.startswith("cannot reach '")
    error = StoreError.unreachable("registry", address, OperationalError(address, {}, Exception()))
    assert "s3cret" not in str(error)


def test_a_password_is_cut_out_of_what_quotes_it_alone():
    address = "postgresql://ana:s3%2Fcret@db/ml"
    assert redact_in("ana may not use 's3/cret'", address) == "ana may not use '***'"
