from pathlib import Path

import pyarrow as pa
import pytest

from mlops_dagster.cli.check import found_of_source, judge
from mlops_dagster.declaration_file import read_declaration, render_with
from mlops_dagster.errors import SpecError


def test_what_does_not_hold_is_kept_as_a_line():
    def look() -> str:
        raise SpecError("no such file")

    found = judge("ingest.source", look)
    assert (found.holds, found.said) == (False, "no such file")


DECLARED = {
    "name": "churn",
    "task": "binary_classification",
    "target": "left",
    "ingest": {"source": {"kind": "file", "path": "customers.csv"}},
    "train": {"estimator": "sklearn.linear_model.LogisticRegression"},
}


def checked(folder: Path, *, stored=None, without=(), **changed) -> list[tuple[bool, str, str]]:
    (folder / "customers.csv").write_text("plan,calls,left\n" + "basic,2,no\npro,1,yes\n" * 20)
    source = {"kind": "file", "path": str(folder / "customers.csv")}
    ingest = {"source": source, "without": list(without)}
    spec = read_declaration({**DECLARED, "ingest": ingest, **changed}, render_with({}))
    return [(one.holds, one.where, one.said) for one in found_of_source(spec, stored=stored)]


def shout(rows):
    return rows.assign(loud=rows["channel"].str.upper())


NAMES_CHANNEL = {
    "key": ["plan"],
    "features": {"functions": [f"{__name__}:shout"], "exclude": ["channel"]},
    "validate": {
        "expectations": [
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "channel"}}
        ]
    },
}
STORED = pa.schema([("plan", pa.string()), ("channel", pa.string()), ("_batch", pa.int64())])


def test_a_column_that_is_left_at_the_source_and_was_taken_before_is_there(tmp_path):
    found = checked(tmp_path, stored=STORED, without=["channel"], **NAMES_CHANNEL)
    assert [holds for holds, _, _ in found] == [True, True]


def test_a_column_that_is_left_at_the_source_is_not_there_else(tmp_path):
    changed = {**NAMES_CHANNEL, "features": {"exclude": ["calls"]}}
    found = checked(tmp_path, without=["calls", "channel"], **changed)
    assert [(holds, where) for holds, where, _ in found] == [
        (True, "ingest.source"),
        (False, "validate.expectations[0]"),
    ]
    assert found[0][2] == "file answers: 2 columns"


def test_columns_that_are_there_hold(tmp_path):
    assert checked(tmp_path, features={"exclude": ["plan"]}) == [
        (True, "ingest.source", "file answers: 3 columns"),
        (True, "columns", "every column that is named is there"),
    ]


@pytest.mark.parametrize(
    ("changed", "where", "said"),
    [
        ({"target": "lefft"}, "target", "'lefft' is no column of the source. Did you mean 'left'"),
        ({"key": ["customer"]}, "key[0]", "'customer' is no column of the source"),
        (
            {"features": {"exclude": ["plam"]}},
            "features.exclude[0]",
            "'plam' is no column of the source, nor made by a function. Did you mean 'plan'",
        ),
        ({"evaluate": {"slices": ["plam"]}}, "evaluate.slices[0]", "Did you mean 'plan'"),
        (
            {
                "validate": {
                    "expectations": [
                        {
                            "type": "expect_column_values_to_not_be_null",
                            "kwargs": {"column": "cals"},
                        }
                    ]
                }
            },
            "validate.expectations[0]",
            "'cals' is no column of the source. Did you mean 'calls'",
        ),
    ],
)
def test_a_column_that_is_not_there_is_named_with_the_nearest(changed, where, said, tmp_path):
    [_, (holds, place, told)] = checked(tmp_path, **changed)
    assert (holds, place) == (False, where)
    assert said in told


def test_a_source_without_rows_is_told(tmp_path):
    (tmp_path / "empty.csv").write_text("plan,left\n")
    source = {"source": {"kind": "file", "path": str(tmp_path / "empty.csv")}}
    spec = read_declaration({**DECLARED, "ingest": source}, render_with({}))
    [found] = found_of_source(spec)
    assert not found.holds
    assert "the source has no rows" in found.said
