"""What people write wrong and what their data do wrong: each is told in words that lead out of it."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from shutil import copytree
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

import mlops_dagster.lifecycle as lifecycle
from mlops_dagster import LifecycleSpec
from mlops_dagster.cli.main import main
from mlops_dagster.clock import ReplayClock
from mlops_dagster.errors import DataNotFitError, StoreError
from mlops_dagster.workbench import Workbench
from tests.lifecycle.small import Scene, metadata_of, to_sqlite

GONE = object()
"""What stands for a key that is left out."""

MINIMAL = {
    "name": "churn",
    "task": "binary_classification",
    "target": "left",
    "key": ["id"],
    "event_time": "seen",
    "ingest": {"source": {"kind": "file", "path": "rows.csv"}},
    "train": {"estimator": "sklearn.linear_model.LogisticRegression"},
    "evaluate": {"gates": [{"kind": "beats_dummy", "metric": "log_loss"}]},
}
PLACE = """
from pathlib import Path

from mlops_dagster import build_lifecycle, load_lifecycle

defs = build_lifecycle(load_lifecycle(Path(__file__).with_name("lifecycle.yaml")))
"""
FEATURES = """
LIMIT = 3


def ratio(rows):
    return rows
"""


def declaration(changes: dict[str, object]) -> dict[str, Any]:
    """Change the minimal declaration at dotted paths."""
    made: dict[str, Any] = deepcopy(MINIMAL)
    for path, value in changes.items():
        *parents, last = path.split(".")
        inner = made
        for part in parents:
            inner = inner.setdefault(part, {})
        if value is GONE:
            del inner[last]
        else:
            inner[last] = value
    return made


# --- DECLARATIONS ---

DATABASE = {"kind": "sql", "table": "orders"}
SECRET = "postgresql://ada:s3cret@db/shop"
WEATHER = {"kind": "file", "path": "rows.csv", "key": ["id"]}


def gate(**gate: object) -> dict[str, object]:
    return {"evaluate.gates": [gate]}


def expectation(**expectation: object) -> dict[str, object]:
    return {"validate.expectations": [expectation]}


def lookup(**changes: object) -> dict[str, object]:
    return {"ingest.lookups": {"weather": {**WEATHER, **changes}}}


BAD_SPECS = {
    "unknown key": (
        {"tagret": "left"},
        ("churn.tagret: there is no such key", "Did you mean 'target'?"),
    ),
    "unknown section": (
        {"trian": {"seed": 1}},
        ("churn.trian: there is no such key", "Did you mean 'train'?"),
    ),
    "unknown key in a section": (
        {"train.estimatr": "a.B"},
        ("churn.train.estimatr: there is no such key", "Did you mean 'estimator'?"),
    ),
    "missing field": ({"target": GONE}, ("churn.target: is missing", "The column to predict")),
    "missing field in a section": (
        {"train.estimator": GONE},
        ("churn.train.estimator: is missing", "Import path of a scikit-learn"),
    ),
    "missing kind": (
        {"ingest.source": {"path": "rows.csv"}},
        ("churn.ingest.source: kind is missing", "['asset', 'file', 'function', 'sql']"),
    ),
    "unknown kind of source": (
        {"ingest.source.kind": "csv"},
        ("churn.ingest.source: kind 'csv' is not known", "Use one of ['asset', 'file'"),
    ),
    "text for a number": (
        {"train.seed": "often"},
        ("churn.train.seed: 'often' stood there", "it should be a valid integer"),
    ),
    "text for a list": ({"key": "id"}, ("churn.key: 'id' stood there", "it should be a list")),
    "list for a text": (
        {"target": ["left"]},
        ("churn.target: ['left'] stood there", "it should be a valid string"),
    ),
    "name with bad letters": (
        {"name": "Churn 2"},
        ("name: 'Churn 2' stood there", "lower case, digits, underscore"),
    ),
    "segment with bad letters": (
        {"segment": "North"},
        ("churn.segment: 'North' stood there", "it should match pattern '^[a-z]"),
    ),
    "owner who is nobody": ({"owners": ["ward"]}, ("owner 'ward'", "email address", "'team:'")),
    "unknown task": (
        {"task": "classification"},
        ("churn.task: 'classification' is not known", "Did you mean 'binary_classification'?"),
    ),
    "target as key": (
        {"key": ["left"]},
        ("churn.key: 'left' is the target", "Name another column"),
    ),
    "target as event time": (
        {"event_time": "left"},
        ("churn.event_time: 'left' is the target", "Name another column"),
    ),
    "target among features": (
        {"features.columns": ["size", "left"]},
        ("churn.features.columns: 'left' is the target", "Name another column"),
    ),
    "unknown metric": (
        {"evaluate.metrics": ["roc_acu"]},
        ("churn.evaluate.metrics: 'roc_acu' is not known", "Did you mean 'roc_auc'?"),
    ),
    "metric of another task": (
        gate(kind="threshold", metric="rmse", at_most=1.0),
        ("churn.evaluate.gates[0].metric: 'rmse' is not computed for binary", "'roc_auc'"),
    ),
    "misspelt gate": (
        gate(kind="beats_champoin", metric="log_loss"),
        ("churn.evaluate.gates[0]: kind 'beats_champoin'", "Did you mean 'beats_champion'?"),
    ),
    "gate without a limit": (
        gate(kind="threshold", metric="roc_auc"),
        ("churn.evaluate.gates[0]: give exactly one of at_least and at_most",),
    ),
    "margin below zero": (
        gate(kind="beats_dummy", metric="log_loss", margin=-1),
        ("churn.evaluate.gates[0].margin: -1 stood there", "greater than or equal to 0"),
    ),
    "unknown estimator": (
        {"train.estimator": "sklearn.linear_model.LogisticRegresion"},
        ("'sklearn.linear_model.LogisticRegresion' is no", "Did you mean 'LogisticRegression'?"),
    ),
    "estimator of no package": (
        {"train.estimator": "xgboozt.XGBClassifier"},
        ("train.estimator: 'xgboozt' cannot be imported", "install the package"),
    ),
    "estimator without its module": (
        {"train.estimator": "LogisticRegression"},
        ("train.estimator: 'LogisticRegression' names no module", "'package.module.Class'"),
    ),
    "estimator without a name": (
        {"train.estimator": ""},
        ("train.estimator: '' names no module", "'package.module.Class'"),
    ),
    "estimator of another task": (
        {"train.estimator": "sklearn.linear_model.Ridge"},
        ("train.estimator: sklearn.linear_model.Ridge has no predict_proba", "Use a classifier"),
    ),
    "classifier for a regression": (
        {"task": "regression", "evaluate": {}},
        ("LogisticRegression is a classifier, and the task is regression", "Use a regressor"),
    ),
    "unknown parameter": (
        {"train.parameters": {"max_itr": 10}},
        ("train.parameters: 'max_itr' is not known", "Did you mean 'max_iter'?"),
    ),
    "duration in unknown units": (
        {"retrain.cooldown": "7 dayz"},
        ("churn.retrain.cooldown: '7 dayz' stood there", "such as 14d, 36h or 90m"),
    ),
    "duration without units": (
        {"retrain.cooldown": 7},
        ("churn.retrain.cooldown: 7 stood there", "such as 14d, 36h or 90m"),
    ),
    "share for a time": (
        {"train.split": {"kind": "time", "holdout": 0.2}},
        ("churn.train.split.holdout: 0.2 stood there", "such as 14d, 36h or 90m"),
    ),
    "time for a share": (
        {"train.split": {"kind": "random", "holdout": "14d"}},
        ("churn.train.split.holdout: '14d' stood there", "it should be a valid number"),
    ),
    "holdout bigger than all": (
        {"train.split": {"kind": "random", "holdout": 1.5}},
        ("churn.train.split.holdout: 1.5 stood there", "less than 1"),
    ),
    "split by time without one": (
        {"event_time": GONE, "train.split": {"kind": "time", "holdout": "14d"}},
        ("churn.train.split: 'time' needs event_time", "or use 'random'"),
    ),
    "training window without a time": (
        {"event_time": GONE, "train.window": "90d"},
        ("churn.train.window: which rows are the newest", "leave window out to learn from all"),
    ),
    "training window without a unit": (
        {"train.window": 90},
        ("churn.train.window: 90 stood there", "14d, 36h or 90m"),
    ),
    "split by no group": (
        {"train.split": {"kind": "group"}},
        ("churn.train.split.column: is missing", "names a row's group"),
    ),
    "secret for a variable": (
        {"ingest.source": {**DATABASE, "url_variable": SECRET}},
        ("churn.ingest.source.url_variable", "is not shown", "name of an environment variable"),
    ),
    "variable that is not set": (
        {"ingest.source": {**DATABASE, "url_variable": "NO_SUCH_URL"}},
        ("ingest.source", "environment variable NO_SUCH_URL is not set", "Set it"),
    ),
    "two addresses": (
        {"ingest.source": {**DATABASE, "url": SECRET, "url_variable": "SHOP"}},
        ("churn.ingest.source: sql source: give either url or url_variable",),
    ),
    "address without a table": (
        {"ingest.source": {"kind": "sql", "url": SECRET}},
        ("churn.ingest.source: sql source: give either table or query",),
    ),
    "template of nothing": (
        {"owners": ["{{ env.NO_SUCH }}"]},
        ("owners[0]: '{{ env.NO_SUCH }}' gave nothing", "Set the environment variable"),
    ),
    "cron in words": (
        {"schedules": {"score": "every day"}},
        ("churn.schedules.score: 'every day' stood there", "five fields", "'0 3 * * *'"),
    ),
    "cron of no minute": (
        {"schedules": {"score": "61 3 * * *"}},
        ("churn.schedules.score: '61 3 * * *' stood there", "five fields", "'0 3 * * *'"),
    ),
    "schedule of no job": (
        {"schedules": {"scoer": "0 3 * * *"}},
        ("churn.schedules.scoer: 'scoer' is not known", "Did you mean 'score'?"),
    ),
    "unknown trigger": (
        {"retrain.triggers": ["new_dta"]},
        ("churn.retrain.triggers[0]: 'new_dta' is not known", "Did you mean 'new_data'?"),
    ),
    "unknown file extension": (
        {"ingest.source.path": "rows.xls"},
        ("ingest.source", "rows.xls: '.xls' is not known", "'.csv'"),
    ),
    "unknown format": (
        {"ingest.source.format": "excel"},
        ("churn.ingest.source.format: 'excel' is not known", "Use one of ['csv'"),
    ),
    "path of no file": (
        {"ingest.source.path": "row.csv"},
        ("ingest.source", "there is no file at 'row.csv'", "Check the path"),
    ),
    "lookup without a key": (
        {"ingest.lookups": {"weather": {"kind": "file", "path": "rows.csv"}}},
        ("churn.ingest.lookups.weather.key: is missing", "Columns present in both tables"),
    ),
    "lookup known without a time": (
        lookup(known_at="seen"),
        ("churn.ingest.lookups.weather: known_at needs event_time", "or leave known_at out"),
    ),
    "lookup by time of no time": (
        {"event_time": GONE, **lookup(event_time="seen")},
        ("churn.ingest.lookups.weather: joined as known", "the model needs event_time"),
    ),
    "lookback without a cursor": (
        {"ingest.lookback": "3d"},
        ("churn.ingest.lookback: there is no cursor", "declare cursor"),
    ),
    "unknown expectation": (
        expectation(type="expect_column_values_to_be_nul", kwargs={"column": "size"}),
        (
            "churn.validate.expectations[0].type: 'expect_column_values_to_be_nul' is not known",
            "Did you mean 'expect_column_values_to_be_null'?",
        ),
    ),
    "unknown argument of an expectation": (
        expectation(type="expect_column_values_to_be_unique", kwargs={"colum": "size"}),
        ("churn.validate[0] (expect_column_values_to_be_unique)", "colum:", "column: field req"),
    ),
    "suite of no file": (
        {"validate.suite": "gone.json"},
        ("churn.validate.suite: gone.json: the suite cannot be read", "Check the path"),
    ),
    "function of no module": (
        {"features.functions": ["user_featurs:ratio"]},
        ("features.functions[0]: user_featurs:ratio: 'user_featurs' cannot", "Check the path"),
    ),
    "function that is not there": (
        {"features.functions": ["user_features:ratoi"]},
        ("features.functions[0]", "has no function 'ratoi'", "Did you mean 'ratio'?"),
    ),
    "function that is none": (
        {"features.functions": ["user_features:LIMIT"]},
        ("features.functions[0]", "has no function 'LIMIT'", "Use one of ['ratio']"),
    ),
    "function without a colon": (
        {"features.functions": ["user_features.ratio"]},
        ("'user_features.ratio' names no function", "'module.path:function'"),
    ),
    "share as a percentage": (
        {"monitor.drift": {"false_alarms": 5}},
        ("churn.monitor.drift.false_alarms: 5 stood there", "less than 0.5"),
    ),
    "promotion by nobody": (
        {"deploy.promotion": "manuel"},
        ("churn.deploy.promotion: 'manuel' is not known", "Did you mean 'manual'?"),
    ),
}


@pytest.fixture(scope="module")
def project(home_template, tmp_path_factory) -> Path:
    """A project that lacks nothing but its declaration, and its own home."""
    folder = tmp_path_factory.mktemp("project")
    copytree(home_template, folder / "home")
    (folder / "rows.csv").write_text("id,seen,size,left\n1,2026-01-01,2.5,0\n")
    (folder / "rows.xls").write_text("no rows")
    (folder / "user_features.py").write_text(FEATURES)
    (folder / "user_place.py").write_text(PLACE)
    (folder / "workspace.yaml").write_text(
        "load_from:\n  - python_file: {relative_path: user_place.py}\n"
    )
    return folder


@pytest.fixture
def check(project, monkeypatch) -> Callable[[dict[str, object]], tuple[int, str]]:
    """Run `mlops-dagster check` on the minimal declaration with changes; give its code and words."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLOPS_HOME", str(project / "home"))
    monkeypatch.syspath_prepend(project)
    monkeypatch.setattr(lifecycle, "_DECLARED", {})

    def checked(changes: dict[str, object]) -> tuple[int, str]:
        (project / "lifecycle.yaml").write_text(yaml.safe_dump(declaration(changes)))
        told = CliRunner().invoke(main, ["check"])
        assert told.exception is None or isinstance(told.exception, SystemExit)
        return told.exit_code, told.output

    return checked


def test_the_declaration_that_the_bad_ones_are_made_of_holds(check):
    code, told = check({"features.functions": ["user_features:ratio"]})
    assert code == 0
    assert "WRONG" not in told


@pytest.mark.parametrize(("changes", "words"), BAD_SPECS.values(), ids=BAD_SPECS)
def test_a_bad_declaration_is_told_by_its_field_what_stood_there_and_what_is_needed(
    changes, words, check
):
    code, told = check(changes)
    assert code == 1
    for word in words:
        assert word in told
    assert "s3cret" not in told


def test_a_password_in_a_wrong_declaration_reaches_no_traceback(project, check):
    check({"ingest.source": {"kind": "sql", "url": SECRET}})
    told = CliRunner().invoke(main, ["--traceback", "check"])
    causes = []
    error = told.exception
    while error is not None:
        causes.append(str(error))
        error = error.__cause__
    assert len(causes) > 1
    assert "s3cret" not in " ".join(causes)


# --- DATA ---


def good(count: int = 80) -> pd.DataFrame:
    """Rows with a key, a time, a number, a text, and a target that is unknown at the end."""
    ids = pd.Series(range(count))
    size = (ids * 37 % 101) / 10
    return pd.DataFrame(
        {
            "id": ids,
            "seen": pd.date_range("2026-01-01", periods=count, freq="6h", tz="UTC"),
            "size": size,
            "plan": ids.map(lambda one: "ab"[one % 2]),
            "left": ((size + ids % 3 > 6).astype(float)).where(ids < count - 8),
        }
    )


def instead(column: str, value: object, *, row: int = 3) -> pd.DataFrame:
    """The good rows, with another value in one of them."""
    table = good().astype({column: object})
    table.loc[row, column] = value
    return table


def source(**source: object) -> dict[str, object]:
    return {"ingest.source": {**DATABASE, **source}}


FAR = pd.Timestamp("2099-01-01", tz="UTC")
NOWHERE = "postgresql+psycopg://ada:s3cret@127.0.0.1:1/shop"

# Known to the stored model: nothing of it may change.
BAD_DATA = {
    "missing file": (None, {}, DataNotFitError, ("raw_data: there is no file at", "Check the path")),
    "empty file": ("", {}, DataNotFitError, ("the source is empty now, and gave 80 rows before", "Check the path")),
    "missing column": (
        good().drop(columns="size"),
        {},
        DataNotFitError,
        ("churn/all/raw_data: 'size' is missing. The source had it", "name it in ingest.without"),
    ),
    "renamed target": (
        good().rename(columns={"left": "has_left"}),
        {},
        DataNotFitError,
        ("churn/all/raw_data: 'left' is missing", "Did you mean 'has_left'?"),
    ),
    "changed type": (
        good().assign(size=True),
        {},
        DataNotFitError,
        ("column 'size' is bool now and was double", "Give it as before, or under another name"),
    ),
    "text in a number column": (
        instead("size", "unknown"),
        {},
        DataNotFitError,
        ("column 'size': 1 of 80 rows hold no number", "first: 'unknown' in row", "Mend the source"),
    ),
    "null key": (
        instead("id", None),
        {},
        DataNotFitError,
        ("1 of 80 rows have no value in the key column 'id'", "Mend the source"),
    ),
    "text for a time": (
        instead("seen", "yesterday"),
        {},
        DataNotFitError,
        ("column 'seen': 1 of 80 rows hold no ISO 8601 time", "'yesterday'", "Mend the source"),
    ),
    "two columns of one name": (
        "id,seen,size,plan,left,left\n1,2026-01-01,1,a,1,0\n",
        {},
        DataNotFitError,
        ("churn/all/raw_data: the columns ['left'] come twice", "Name each column once"),
    ),
    "database that does not answer": (
        None,
        source(url=NOWHERE),
        StoreError,
        ("no answer from postgresql+psycopg://127.0.0.1:1/shop", "Check the address"),
    ),
    "wrong table": (
        None,
        source(url="sqlite:///{folder}/shop.db", table="order"),
        DataNotFitError,
        ("shop.db refused the query: no such table: order", "Check order"),
    ),
    "cursor that is not there": (
        good(),
        {"ingest.cursor": "sen"},
        DataNotFitError,
        ("churn/all/raw_data: 'sen' is missing", "Did you mean 'seen'?"),
    ),
    "feature that is not there": (
        good(),
        {"features.columns": ["siz"]},
        DataNotFitError,
        ("churn/all/features.columns: 'siz' is missing", "Did you mean 'size'?"),
    ),
    "holdout longer than all": (
        good(),
        {"train.split": {"kind": "time", "holdout": "400d"}},
        DataNotFitError,
        ("churn/all/train: 0 of 72 rows for training; at least 10", "Change train.split"),
    ),
    "group that is not there": (
        good(),
        {"train.split": {"kind": "group", "column": "pln"}},
        DataNotFitError,
        ("churn/all/train.split.column: 'pln' is missing", "Did you mean 'plan'?"),
    ),
    "slice that is not there": (
        good(),
        {"evaluate.slices": ["pln"]},
        DataNotFitError,
        ("churn/all/evaluate.slices: 'pln' is missing", "Did you mean 'plan'?"),
    ),
}  # fmt: skip

# Of a model that has nothing yet: nothing of it may go live.
BAD_FIRST_DATA = {
    "header only": (
        good(0),
        {},
        ("raw_data: the source is empty, so the table cannot be made", "Check the path"),
    ),
    "target without a value": (
        good().assign(left=None),
        {},
        ("features: none of 80 accepted rows has a known 'left'", "nothing to learn from yet"),
    ),
    "one class": (
        good().assign(left=1),
        {},
        ("train: the training rows have one class of 'left' only", "bring rows of the other class"),
    ),
    "three classes of two": (
        good().assign(left=good()["id"] % 3),
        {},
        ("train: 'left' has 3 different values", "Declare task: multiclass_classification"),
    ),
    "text for a number to predict": (
        good().assign(left="much"),
        {
            "task": "regression",
            "train.estimator": "sklearn.linear_model.Ridge",
            "evaluate": {},
        },
        ("train: 'left' holds no numbers but 'much'", "declare a classification"),
    ),
    "event time without a value": (
        good().assign(seen=None),
        {},
        ("none of 72 rows has a value in the event_time column 'seen'", "leave event_time out"),
    ),
    "too few rows": (
        good(12),
        {},
        ("of 4 rows for", "at least 10 are needed", "or wait for more rows"),
    ),
    "nothing to learn from": (
        good()[["id", "seen", "left"]],
        {},
        ("features: no column is left for the model", "keys, times and what features.exclude"),
    ),
}


class Room:
    """One home and one Dagster instance that all bad data are given to."""

    def __init__(self, home: Path) -> None:
        clock = ReplayClock(home / "clock")
        clock.set(pd.Timestamp("2026-03-01", tz="UTC").to_pydatetime())
        self.folder = home
        self.bench = Workbench(home=home, clock=clock)
        self.instance = dg.DagsterInstance.ephemeral()
        to_sqlite(good(), home / "shop.db", name="orders")

    def run(
        self,
        given: pd.DataFrame | str | None,
        changes: dict[str, object],
        *,
        job="lifecycle",
        **more,
    ) -> dg.ExecuteInProcessResult:
        """Give a source to a model, and run one of its jobs."""
        place = self.folder / "rows.csv"
        place.unlink(missing_ok=True)
        if isinstance(given, pd.DataFrame):
            given.to_csv(place, index=False)
        elif given is not None:
            place.write_text(given)
        written = declaration({"ingest.source.path": str(place), **changes, **more})
        if address := written["ingest"]["source"].get("url"):
            written["ingest"]["source"]["url"] = address.format(folder=self.folder)
        spec = LifecycleSpec.model_validate(written)
        return Scene(spec, self.bench, self.instance).run(job)

    def kept(self, segment: str = "all") -> dict[str, object]:
        """What must stay as it was: the tables, what is registered, what serves and since when."""
        name = "churn" if segment == "all" else f"churn--{segment}"
        nouns = ("raw_data", "validated_data", "features", "predictions")
        tables = {noun: self.bench.tables.latest(f"churn/{segment}/{noun}") for noun in nouns}
        champion = self.bench.registry.by_alias(name, "champion")
        return {
            **{noun: table and table.ref for noun, table in tables.items()},
            "versions": [one.version for one in self.bench.registry.versions(name)],
            "champion": champion and champion.version,
            "moves": self.bench.operations.moves("churn", segment),
        }


@pytest.fixture(scope="module")
def room(home_template, tmp_path_factory) -> Room:
    """A home in which a model of good rows serves."""
    home = tmp_path_factory.mktemp("room") / "home"
    copytree(home_template, home)
    made = Room(home)
    assert made.run(good(), {}).success
    assert made.kept()["champion"] == "1"
    return made


def test_one_row_of_a_far_future_is_told_and_neither_stops_nor_decides(room):
    result = room.run(instead("seen", FAR), {}, name="future")
    [trained] = [
        event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.step_key.endswith("trained_model")
    ]
    assert result.success
    assert (
        "1 rows with a known 'left' are dated after now, up to 2099-01-01"
        in trained["because"].value
    )


def refusal(result: dg.ExecuteInProcessResult):
    """The class of the error that stopped a run, and the sentence that a person is shown."""
    [failed] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    return failed.error.cause.cls_name, failed.user_failure_data.description


@pytest.mark.parametrize(("given", "changes", "error", "words"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_of_a_serving_model_stop_the_run_in_words_and_change_nothing(
    given, changes, error, words, room
):
    before = room.kept()
    kind, told = refusal(room.run(given, changes))
    assert kind == error.__name__
    for word in words:
        assert word in told
    assert "s3cret" not in told
    assert room.kept() == before


@pytest.mark.parametrize(("given", "changes", "words"), BAD_FIRST_DATA.values(), ids=BAD_FIRST_DATA)
def test_bad_data_of_a_new_model_stop_the_run_in_words_and_put_nothing_live(
    given, changes, words, room, request
):
    segment = request.node.callspec.id.replace(" ", "_")
    before = room.kept()
    kind, told = refusal(room.run(given, changes, segment=segment))
    assert kind == DataNotFitError.__name__
    assert told.startswith(f"churn/{segment}/")
    for word in words:
        assert word in told
    after = room.kept(segment)
    assert (after["versions"], after["champion"], after["moves"]) == ([], None, [])
    assert after["predictions"] is None
    assert room.kept() == before


def test_a_key_that_comes_twice_is_taken_once_and_is_told(room):
    twice = pd.concat([good(), good().head(2).assign(size=9.0)])
    result = room.run(twice, {}, job="update", segment="twice")
    told = metadata_of(result, "raw_data")["because"]
    assert told.startswith("80 new rows; newest 2026-01-20 18:00 UTC. 2 keys came twice")
    rows = room.bench.tables.read("churn/twice/raw_data").to_pandas().set_index("id")
    assert len(rows) == 80
    assert rows.loc[[0, 1], "size"].tolist() == [9.0, 9.0]


def test_a_file_that_lost_its_rows_takes_none_away_and_is_told(room):
    before = room.kept()
    kind, told = refusal(room.run(good(0), {}))
    assert (kind, "no rows" in told or "0 rows" in told) == (DataNotFitError.__name__, True), told
    assert room.kept() == before
