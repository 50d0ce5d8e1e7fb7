import subprocess
import sys
from datetime import timedelta

import dagster as dg
import pytest
from pydantic import ValidationError

from mlops_dagster.components import ModelLifecycle
from mlops_dagster.components.schema import allow_templates
from mlops_dagster.errors import SpecError
from mlops_dagster.spec import LifecycleSpec

SMALL = {
    "name": "churn",
    "task": "binary_classification",
    "target": "left",
    "ingest": {"source": {"kind": "file", "path": "customers.csv"}},
    "train": {"estimator": "sklearn.ensemble.RandomForestClassifier"},
}
HEAVY = {
    "mlflow",
    "great_expectations",
    "sklearn",
    "scipy",
    "pandas",
    "pyarrow",
    "deltalake",
    "duckdb",
}


def test_the_registry_module_loads_nothing_heavy():
    code = (
        "import sys, mlops_dagster.components as components\n"
        "components.ModelLifecycle.get_model_cls().model_json_schema()\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_yaml_and_python_declare_the_same():
    component = ModelLifecycle.from_attributes_dict(attributes=SMALL)
    assert component.spec == LifecycleSpec.model_validate(SMALL)


def test_a_template_is_resolved_before_its_number_is_judged(monkeypatch):
    monkeypatch.setenv("ROWS", "500")
    monkeypatch.setenv("PAUSE", "36h")
    retrain = {"min_new_rows": "{{ env.ROWS }}", "cooldown": "{{ env.PAUSE }}"}
    component = ModelLifecycle.from_attributes_dict(attributes={**SMALL, "retrain": retrain})
    assert component.spec.retrain.min_new_rows == 500
    assert component.spec.retrain.cooldown == timedelta(hours=36)


def test_a_template_that_reads_like_a_number_may_stand_for_a_text(monkeypatch):
    monkeypatch.setenv("YEAR", "2013")
    component = ModelLifecycle.from_attributes_dict(
        attributes={**SMALL, "target": "{{ env.YEAR }}"}
    )
    assert component.spec.target == "2013"


def test_a_template_of_a_variable_that_is_not_set_says_so(monkeypatch):
    monkeypatch.delenv("PAUSE", raising=False)
    retrain = {"cooldown": "{{ env.PAUSE }}"}
    with pytest.raises(SpecError, match=r"retrain.cooldown: '{{ env.PAUSE }}' gave nothing. Set"):
        ModelLifecycle.from_attributes_dict(attributes={**SMALL, "retrain": retrain})


def test_what_is_wrong_beside_a_template_is_seen_before_it_is_resolved():
    written = {**SMALL, "target": "{{ env.X }}", "tsak": 1}
    with pytest.raises(ValidationError, match=r"there is no such key. Did you mean 'task'"):
        ModelLifecycle.from_attributes_dict(attributes=written)


def test_a_subclass_may_change_the_declaration():
    class Owned(ModelLifecycle):
        def declare(self, context: dg.ComponentLoadContext) -> LifecycleSpec:
            return self.spec.model_copy(update={"owners": ("team:audit",)})

    component = Owned.from_attributes_dict(attributes=SMALL)
    defs = dg.build_defs_for_component(component)
    assert {tuple(one.owners) for one in defs.resolve_all_asset_specs()} == {("team:audit",)}


def test_a_schema_is_widened_at_its_values_but_not_at_its_kinds():
    schema = {
        "properties": {
            "kind": {"const": "file", "type": "string"},
            "rows": {"type": "integer", "minimum": 0},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["kind"],
    }
    made = allow_templates(schema)["properties"]
    assert made["kind"] == schema["properties"]["kind"]
    assert made["rows"]["anyOf"][0] == schema["properties"]["rows"]
    assert made["rows"]["anyOf"][1]["type"] == "string"
    assert "anyOf" in made["tags"]["items"]
