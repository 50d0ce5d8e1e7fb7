from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from mlops_dagster.declaration import Duration, Spec, Task
from mlops_dagster.declaration_errors import spec_error


class File(Spec):
    kind: Literal["file"] = "file"
    path: str = Field(description="Where the file is.")


class Sql(Spec):
    kind: Literal["sql"] = "sql"
    sql: str = ""
    rows: int = 1


class Gate(Spec):
    metric: str
    at_least: float


class Model(Spec):
    name: str
    task: Task = Task.BINARY
    source: Annotated[File | Sql, Field(discriminator="kind")] = File(path="x")
    gates: tuple[Gate, ...] = ()
    lookups: dict[str, Gate] = Field(default={})
    holdout: Duration | float = Field(default=0.2, description="Rows kept back.")
    validate_: Gate | None = Field(default=None, alias="validate")


def said(**given: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"name": "churn", **given})
    return str(spec_error(caught.value, Model, name="churn"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tsak": 1}, "churn.tsak: there is no such key. Did you mean 'task'?"),
        ({"task": "binary"}, "churn.task: 'binary' is not known. Did you mean 'binary_"),
        ({"source": {"path": "x", "kind": "fiel"}}, "churn.source: kind 'fiel' is not known. Did"),
        ({"source": {"kind": "file"}}, "churn.source.path: is missing. Where the file is."),
        (
            {"source": {"kind": "sql", "sql": "a", "rws": 2}},
            "churn.source.rws: there is no such key",
        ),
        (
            {"source": {"kind": "sql", "rows": "many"}},
            "churn.source.rows: 'many' stood there; it sh",
        ),
        ({"gates": [{"metric": "a", "at_most": 1}]}, "gates[0].at_least: is missing."),
        (
            {"lookups": {"weather": {"metrik": "a"}}},
            "lookups.weather.metrik: there is no such key.",
        ),
        ({"holdout": "soon"}, "churn.holdout: 'soon' stood there; needed is a length of time"),
        ({"validate": {"metric": "a"}}, "churn.validate.at_least: is missing."),
        ({"valdate": {}}, "churn.valdate: there is no such key. Did you mean 'validate'?"),
    ],
)
def test_a_wrong_declaration_names_the_field_and_the_way_out(given, message):
    assert message in said(**given)


def test_several_mistakes_are_all_told():
    text = said(task="x", source={"kind": "file"}, gates=3)
    assert text.startswith("churn has 3 mistakes:\n  - task: ")
    assert "- source.path: is missing." in text
    assert "- gates: 3 stood there; it should be a list." in text


def test_a_password_in_a_wrong_place_is_not_shown():
    text = said(gates="postgresql://ada:secret@host/db")
    assert "secret" not in text
    assert "postgresql://ada:***@host/db" in text
