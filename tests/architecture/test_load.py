"""What a user meets when his code location is loaded."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOAD = """
import json, warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import dagster as dg
    from assets.flight_delay.definitions import defs
    dg.Definitions.validate_loadable(defs)
own = [f"{one.category.__name__}: {one.message}" for one in said]
print(json.dumps([one for one in own if one.split("Warning")[0] in ("Beta", "Preview", "Deprecation", "Supersession")
                  and "pydantic" not in one.lower()]))
"""
SNAPSHOT = """
import json, os
os.environ["FLIGHTS_DB"] = "postgresql://user:top-secret@db.example/flights"
import dagster as dg
from dagster._core.remote_representation.external_data import RepositorySnap
from mlops_dagster import LifecycleSpec, build_lifecycle
spec = LifecycleSpec.model_validate({
    "name": "secret", "task": "regression", "target": "y", "key": ["id"],
    "ingest": {"source": {"kind": "sql", "url_variable": "FLIGHTS_DB", "table": "t"}},
    "train": {"estimator": "sklearn.linear_model.Ridge"}})
defs = build_lifecycle(spec)
text = str(RepositorySnap.from_def(defs.get_repository_def())) + repr(spec)
print(json.dumps("top-secret" in text))
"""


def told_by(code: str) -> object:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_beta_preview_or_deprecation_warning_reaches_a_user_at_load():
    assert told_by(LOAD) == []


def test_a_secret_given_by_variable_name_is_in_no_snapshot_and_no_repr():
    assert told_by(SNAPSHOT) is False


def test_loading_and_importing_opens_no_connection():
    code = "\n".join(
        [
            "import socket, json",
            "opened = []",
            "socket.socket.connect = lambda self, place: opened.append(str(place))",
            "import assets.flight_delay.definitions, mlops_dagster.cli.main",
            "print(json.dumps(opened))",
        ]
    )
    assert told_by(code) == []


def test_the_same_sensors_serve_several_models_in_one_location():
    code = """
import json
from pathlib import Path
import dagster as dg
from mlops_dagster import build_lifecycle, build_shared_sensors
from tests.lifecycle.small import cancer_spec
specs = [cancer_spec(Path("x.csv"), name=name) for name in ("one", "two")]
built = [build_lifecycle(spec, sensors=False) for spec in specs]
defs = dg.Definitions.merge(*built, dg.Definitions(sensors=build_shared_sensors(specs)))
dg.Definitions.validate_loadable(defs)
print(json.dumps(sorted(sensor.name for sensor in defs.sensors)))
"""
    assert told_by(code) == ["mlops_drift_sensor", "mlops_freshness_sensor", "mlops_live_sensor"]
