"""A model's files carry its code, are what was registered, and answer alike everywhere."""

import json
import subprocess
import sys
from importlib.metadata import version

import pandas as pd
import pytest

from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.scoring.by_value import package_model, signature_of
from mlops_dagster.scoring.loader import load_verified, open_model
from mlops_dagster.scoring.questions import InputSchema, Question, schema_of
from mlops_dagster.scoring.rows import decode_inputs, encode_inputs
from tests.scoring.models import MODEL, artifact_of, register, save, user_package

PLAIN = """
import json, sys, mlflow.pyfunc, pandas as pd
rows = pd.read_json(sys.stdin, convert_dates=False)
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(rows)["probability"].tolist()
print(json.dumps([answer, [n for n in ("mlops_dagster", "plainpkg") if n in sys.modules]]))
"""


def test_a_plain_process_without_the_source_or_the_package_answers_alike(points, tmp_path):
    function = user_package(tmp_path / "src", name="plainpkg")
    folder = save(artifact_of(points, function), tmp_path / "model", points, package="plainpkg")
    rows = points[["seen", "size"]].head(20)
    sent = rows.assign(seen=rows["seen"].map(pd.Timestamp.isoformat)).to_json(
        orient="records", double_precision=15
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN, str(folder)],
        input=sent, capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    told, loaded = json.loads(done.stdout)
    assert told == pytest.approx(
        open_model(folder).predict(rows)["probability"].tolist(), abs=1e-12
    )
    assert loaded == []


def test_two_models_with_different_feature_code_live_in_one_process(points, tmp_path):
    first = user_package(tmp_path / "one", name="sidepkg", factor=2.0)
    one = save(artifact_of(points, first), tmp_path / "m1", points, package="sidepkg")
    for name in [name for name in sys.modules if name.startswith("sidepkg")]:
        del sys.modules[name]
    second = user_package(tmp_path / "two", name="sidepkg", factor=-7.0)
    two = save(artifact_of(points, second), tmp_path / "m2", points, package="sidepkg")
    rows = points[["seen", "size"]].head(3)
    assert open_model(one).features(rows)["size2"].tolist() == (rows["size"] * 2.0).tolist()
    assert open_model(two).features(rows)["size2"].tolist() == (rows["size"] * -7.0).tolist()


def late_package(folder, *, calls: str):
    """Write a package with an import inside of a function, and a feature function that uses it or not."""
    (folder / "latepkg").mkdir(parents=True)
    (folder / "latepkg" / "__init__.py").touch()
    (folder / "latepkg" / "numbers.py").write_text("FACTOR = 2.0\n")
    (folder / "latepkg" / "more.py").write_text(
        "def sneaky(rows):\n    from latepkg.numbers import FACTOR\n    return rows['size'] * FACTOR\n"
    )
    (folder / "latepkg" / "features.py").write_text(
        "from latepkg.more import sneaky\n"
        f"def doubled(rows):\n    return rows.assign(size2={calls}, hour=1.0)\n"
    )
    for name in [name for name in sys.modules if name.startswith("latepkg")]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        return __import__("latepkg.features", fromlist=["doubled"]).doubled
    finally:
        sys.path.remove(str(folder))


def test_an_import_inside_a_function_that_travels_is_refused(points, tmp_path):
    sys.path.insert(0, str(tmp_path / "src"))
    function = late_package(tmp_path / "src", calls="sneaky(rows)")
    artifact = artifact_of(points, function)
    sys.path.remove(str(tmp_path / "src"))
    with pytest.raises(
        DataNotFitError, match=r"latepkg\.more\.sneaky imports 'latepkg\.numbers' inside"
    ):
        save(artifact, tmp_path / "model", points, package="latepkg")


def test_an_import_inside_a_function_that_stays_is_nobodys_concern(points, tmp_path):
    function = late_package(tmp_path / "src", calls="rows['size']")
    folder = save(artifact_of(points, function), tmp_path / "model", points, package="latepkg")
    open_model(folder).check_example()


def test_what_the_carried_code_imports_is_required(points, tmp_path):
    function = user_package(tmp_path / "src", name="requirepkg")
    artifact = artifact_of(points, function)

    def holidays(rows):
        import yaml

        return rows.assign(size2=float(yaml.safe_load("1.0")))

    artifact.functions = [holidays, function]
    package = __name__.partition(".")[0]
    package_model(
        artifact,
        tmp_path / "model",
        user_packages=["requirepkg", package],
        input_example=points[["seen", "size"]].head(),
        signature=signature_of(points[["seen", "size"]], artifact.predict(None, points)),
        requirements=["mlflow"],
    )
    written = (tmp_path / "model" / "requirements.txt").read_text().split()
    assert "mlflow" in written
    assert f"pyyaml=={version('pyyaml')}" in written


def test_a_model_that_takes_a_date_otherwise_than_its_text_is_refused(points, tmp_path):
    function = user_package(tmp_path / "src", name="datepkg")
    artifact = artifact_of(points, function)
    artifact.inputs = ["seen", "size", "day"]

    def weighed(rows):
        typed = rows["day"].map(lambda day: 2.0 if isinstance(day, str) else 1.0)
        return function(rows.assign(size=rows["size"] * typed))

    artifact.functions = [weighed]
    rows = points.assign(day=points["seen"].dt.date)[artifact.inputs]
    with pytest.raises(DataNotFitError, match="take dates and decimals as text"):
        package_model(
            artifact,
            tmp_path / "model",
            user_packages=["datepkg", __name__.partition(".")[0]],
            input_example=rows.head(),
            signature=signature_of(rows, artifact.predict(None, rows)),
            requirements=["mlflow"],
        )


def test_times_with_and_without_fractions_are_read_alike(points, tmp_path):
    function = user_package(tmp_path / "src", name="fractionpkg")
    artifact = artifact_of(points, function)
    seen = ["2026-01-01T00:00:00.123456+00:00", "2026-01-01T05:00:00+00:00", None]
    made = artifact.features(pd.DataFrame({"seen": seen, "size": [1.0, 2.0, 3.0]}))
    assert made["hour"].tolist()[:2] == [0.0, 5.0]


def test_code_that_would_stay_behind_is_refused(points, tmp_path):
    function = user_package(tmp_path / "src", name="mainpkg")
    other = user_package(tmp_path / "src2", name="strayed")
    artifact = artifact_of(points, function)
    artifact.functions = [function, other]
    with pytest.raises(
        DataNotFitError, match=r"refers to 'strayed\.features', which would stay behind"
    ):
        save(artifact, tmp_path / "model", points, package="mainpkg")


def test_MR7_a_tampered_artifact_is_refused_before_it_is_unpickled(bench, points, tmp_path):
    function = user_package(tmp_path / "src", name="tamperpkg")
    folder = save(artifact_of(points, function), tmp_path / "model", points, package="tamperpkg")
    version = bench.registry.version(MODEL.registered_name, register(bench, folder, run="r1"))
    load_verified(bench.registry, version).check_example()
    (bench.registry.download(version) / "python_model.pkl").write_bytes(b"not a model")
    with pytest.raises(
        StoreError, match=r"parcels version 1: the files at .* have SHA-256 .* are not loaded"
    ):
        load_verified(bench.registry, version)


def test_an_example_that_answers_otherwise_is_refused(points, tmp_path):
    function = user_package(tmp_path / "src", name="examplepkg")
    folder = save(artifact_of(points, function), tmp_path / "model", points, package="examplepkg")
    path = folder / "expected_predictions.json"
    stored = json.loads(path.read_text())
    stored["predictions"]["probability"][0] += 1e-9
    path.write_text(json.dumps(stored))
    with pytest.raises(StoreError, match="answers its own example with"):
        open_model(folder).check_example()


def test_inputs_as_text_and_back_give_exactly_the_same_predictions(points, tmp_path):
    function = user_package(tmp_path / "src", name="textpkg")
    folder = save(artifact_of(points, function), tmp_path / "model", points, package="textpkg")
    model = open_model(folder)
    rows = points[["seen", "size"]].copy()
    again = decode_inputs(encode_inputs(rows), model)
    pd.testing.assert_frame_equal(model.predict(again), model.predict(rows))


def test_a_missing_input_is_null_and_an_unknown_column_is_ignored(points, tmp_path):
    function = user_package(tmp_path / "src", name="nullpkg")
    artifact = artifact_of(points, function)
    made = artifact.features(points[["seen"]].assign(unknown=1))
    assert made["size"].isna().all()
    assert list(made) == artifact.columns


def test_a_row_without_a_needed_column_is_refused_by_mlflow_and_by_the_endpoint(points, tmp_path):
    import mlflow

    function = user_package(tmp_path / "src", name="neededpkg")
    folder = save(artifact_of(points, function), tmp_path / "model", points, package="neededpkg")
    with pytest.raises(mlflow.MlflowException, match=r"missing inputs \['size'\]"):
        mlflow.pyfunc.load_model(str(folder)).predict(points[["seen"]])
    schema = schema_of(open_model(folder))
    with pytest.raises(
        DataNotFitError, match="column 'size' is missing; needed is a number, or null"
    ):
        schema.values(Question(rows=[{"seen": "2024-05-01"}]))
    assert schema.values(Question(rows=[{"seen": None, "size": None}])) == [[None, None]]


def test_a_column_that_may_be_left_out_is_null(points):
    answer = pd.DataFrame({"prediction": [0.0]})
    signature = signature_of(points[["seen", "size"]], answer, optional=["seen"])
    assert [one.name for one in signature.inputs if one.required] == ["size"]
    schema = InputSchema({"seen": "time", "size": "number"}, optional=frozenset({"seen"}))
    assert schema.values(Question(rows=[{"size": 2}])) == [[None, 2]]
    with pytest.raises(DataNotFitError, match="column 'seen' is missing"):
        schema.values(Question(rows=[{"size": 2}], key_wanted=True), key=["seen"])
    assert schema.values(Question(rows=[{"size": 2}], key_wanted=True)) == [[None, 2]]


def test_rows_without_names_may_lack_what_is_optional_at_the_end():
    schema = InputSchema({"size": "number", "new": "text"}, optional=frozenset({"new"}))
    assert schema.values(Question(rows=[[2], [3, "a"]])) == [[2, None], [3, "a"]]
    for wrong in ([], [2, "a", 1]):
        with pytest.raises(DataNotFitError, match=r"needed are 2: size, new\."):
            schema.values(Question(rows=[wrong]))


def test_true_and_false_are_numbers_as_a_csv_file_writes_them_too():
    schema = InputSchema({"owner": "number", "told": "boolean"})
    asked = schema.frame(
        [["True", "false"], ["false", "TRUE"], [True, False], [None, None], ["2", None]]
    )
    assert asked["owner"].tolist()[:3] == [1.0, 0.0, 1.0]
    assert asked["told"].tolist() == [False, True, False, None, None]
