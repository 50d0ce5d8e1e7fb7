import json
from pathlib import Path

TYPE = "mlops_dagster.components.ModelLifecycle"
SCAFFOLD = ("scaffold", "defs", TYPE, "churn", "--target", "left", "--data", "customers.csv")


def declare(project: Path, text: str) -> None:
    folder = project / "shop/defs/churn"
    folder.mkdir(exist_ok=True)
    (folder / "defs.yaml").write_text(f"type: {TYPE}\nattributes:\n{text}")


SMALL = """
  name: churn
  task: binary_classification
  target: left
  ingest: {source: {kind: file, path: customers.csv}}
  train: {estimator: sklearn.ensemble.RandomForestClassifier}
"""


def test_the_component_is_listed_with_what_it_says_of_itself(dg_command):
    listed = dg_command("list", "components", "--json")
    assert listed.returncode == 0, listed.stderr
    [ours] = [one for one in json.loads(listed.stdout)["items"] if one["key"] == TYPE]
    assert ours["summary"].startswith("One model's whole life")


def test_a_scaffolded_model_passes_both_checks_as_it_is(project, dg_command):
    made = dg_command(*SCAFFOLD)
    assert made.returncode == 0, made.stdout + made.stderr
    text = (project / "shop/defs/churn/defs.yaml").read_text()
    assert "target: left" in text
    assert "path: customers.csv" in text
    for check in (("check", "yaml"), ("check", "defs")):
        checked = dg_command(*check)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_wrong_key_names_the_nearest_and_its_line(project, dg_command):
    declare(project, SMALL + "  tagret: left\n")
    checked = dg_command("check", "defs", "--no-check-yaml")
    said = checked.stdout + checked.stderr
    assert checked.returncode == 1
    assert "tagret: there is no such key. Did you mean 'target'?" in said
    assert "defs.yaml:9" in said
    assert dg_command("check", "yaml").returncode == 1


def test_a_template_may_stand_for_a_number_and_a_duration(project, dg_command):
    declare(
        project,
        SMALL + "  retrain: {min_new_rows: '{{ env.ROWS }}', cooldown: '{{ env.PAUSE }}'}\n",
    )
    good = {"ROWS": "500", "PAUSE": "7d"}
    yaml_only = dg_command("check", "yaml", "--no-validate-requirements", **good)
    assert yaml_only.returncode == 0, yaml_only.stdout + yaml_only.stderr
    checked = dg_command("check", "defs", "--no-check-yaml", **good)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    wrong = dg_command("check", "defs", "--no-check-yaml", ROWS="500", PAUSE="soon")
    assert wrong.returncode == 1
    assert "retrain.cooldown: 'soon' stood there" in wrong.stdout + wrong.stderr
