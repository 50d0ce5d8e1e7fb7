from datetime import timedelta

import pytest

from mlops_dagster.declaration_file import load_lifecycle
from mlops_dagster.errors import SpecError

SMALL = """
name: churn
task: binary_classification
target: left
ingest: {source: {kind: file, path: customers.csv}}
train: {estimator: sklearn.ensemble.RandomForestClassifier}
"""


@pytest.fixture
def declared(tmp_path):
    def write(text: str, **environment: str):
        file = tmp_path / "lifecycle.yaml"
        file.write_text(text)
        return load_lifecycle(file, environment=environment)

    return write


def test_a_bare_mapping_and_a_components_document_are_read_alike(declared):
    lines = "".join(f"  {line}\n" for line in SMALL.strip().splitlines())
    document = f"type: mlops_dagster.components.ModelLifecycle\nattributes:\n{lines}"
    assert declared(document) == declared(SMALL)


def test_a_template_may_stand_for_a_duration(declared):
    spec = declared(SMALL + "retrain: {cooldown: '{{ env.PAUSE }}'}", PAUSE="2w")
    assert spec.retrain.cooldown == timedelta(weeks=2)


def test_a_template_may_have_a_default(declared):
    spec = declared(SMALL + "retrain: {min_new_rows: \"{{ env('ROWS', 7) }}\"}")
    assert spec.retrain.min_new_rows == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", r"lifecycle\.yaml: list stood there; needed is a mapping"),
        ("a: [", r"lifecycle\.yaml: it is no YAML"),
        (
            SMALL + "tagret: 1",
            r"lifecycle\.yaml: churn\.tagret: there is no such key. Did you mean 't",
        ),
        (SMALL + "owners: ['{{ env.X }}']", r"owners\[0\]: '{{ env.X }}' gave nothing. Set"),
        (SMALL + "owners: ['{{ env.X }']", r"owners\[0\]: .* cannot be filled in"),
    ],
)
def test_what_is_wrong_is_said_with_the_files_name(declared, text, message):
    with pytest.raises(SpecError, match=message):
        declared(text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"gone\.yaml: it cannot be read"):
        load_lifecycle(tmp_path / "gone.yaml")
