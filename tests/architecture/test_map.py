"""What the map promises of the tree itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mlops_dagster

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mlops_dagster"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"dagster", "mlflow", "sklearn", "pandas", "great_expectations", "matplotlib"}


def loaded_by(code: str) -> set[str]:
    """Tell which top-level modules a fresh interpreter has after running `code`."""
    ask = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_heavy_library():
    assert not HEAVY & loaded_by("import mlops_dagster")


def test_loading_definitions_loads_neither_mlflow_nor_great_expectations_nor_sklearn():
    loaded = loaded_by("import assets.flight_delay.definitions")
    assert not {"mlflow", "sklearn", "great_expectations", "matplotlib", "scipy"} & loaded


@pytest.mark.parametrize(
    "room",
    [
        "ingest",
        "validate",
        "features",
        "train",
        "evaluate",
        "register",
        "deploy",
        "serve",
        "monitor",
    ],
)
def test_a_rooms_run_never_loads_dagster(room):
    assert "dagster" not in loaded_by(f"import mlops_dagster.{room}.run")


def test_scoring_stores_compute_metrics_and_profiles_never_load_dagster():
    code = "\n".join(
        f"import {path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}"
        for path in MODULES
        if path.relative_to(PACKAGE).parts[0]
        in {"scoring", "stores", "compute", "metrics", "profiles"}
        and path.name != "__init__.py"
    )
    assert "dagster" not in loaded_by(code)


def test_no_module_is_longer_than_300_lines():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}


def test_no_module_or_class_has_a_name_that_says_nothing():
    rooms = [
        path
        for path in PACKAGE.rglob("*")
        if path.stem in {"utils", "util", "helpers", "common", "misc"}
    ]
    classes = [
        f"{path.name}:{name}"
        for path in MODULES
        for name in re.findall(
            r"^class (\w*(?:Manager|Helper|Handler))\b", path.read_text(), re.MULTILINE
        )
    ]
    assert rooms == []
    assert classes == ["resources.py:RecordIOManager"]  # Dagster's own word for it


def test_every_public_name_loads_and_the_list_is_sorted():
    assert sorted(mlops_dagster.__all__) == mlops_dagster.__all__
    for name in mlops_dagster.__all__:
        assert getattr(mlops_dagster, name) is not None


def test_an_unknown_public_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mlops_dagster.nothing


def test_the_capabilities_page_is_what_the_tests_say():
    sys.path.insert(0, str(ROOT))
    from docs.capabilities import TARGET, page

    assert TARGET.read_text() == page(), "run `make capabilities`"


def test_the_repository_names_no_machine_and_no_registry():
    listed = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    bad = re.compile(r"/(?:work|farm|opt/wheels)/|--index-url|--extra-index-url")
    texts = (ROOT / name for name in listed.stdout.split() if not name.endswith((".png", ".svg")))
    found = [str(path) for path in texts if path.exists() and bad.search(path.read_text())]
    assert [one for one in found if not one.endswith("test_map.py")] == []
