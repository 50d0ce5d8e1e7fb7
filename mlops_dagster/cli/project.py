"""The files of a new project, as texts; nothing is written here."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from keyword import kwlist

import pandas as pd

from mlops_dagster.cli.first_suite import suite_lines
from mlops_dagster.cli.guesses import Guesses
from mlops_dagster.cli.project_code import (
    DEFINITIONS,
    feature_functions,
    features_file,
    tests_file,
)
from mlops_dagster.declaration import Task

FEW_ROWS = 2_000
FEWEST_STRATIFIED = 60
STOPS_BY_ITSELF = 20_000
"""From so many rows on scikit-learn's boosting stops early by itself (10,000 to learn from)."""
FEWEST_SET_ASIDE = 20
"""Rows of a class, below which one may be missing on a side when a tenth is set aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a new project is made of. `source` is the YAML of where rows come from, in flow style."""

    name: str
    target: str
    source: str
    source_because: str
    rows: pd.DataFrame
    guesses: Guesses

    @property
    def package(self) -> str:
        """The Python package: the model's name, unless Python or another module has it."""
        words = {*sys.stdlib_module_names, *kwlist, "tests"}
        taken = self.name in words or find_spec(self.name) is not None
        return f"{self.name}_model" if taken else self.name


def project_files(project: Project) -> dict[str, str]:
    """Write every file, by its path in the project."""
    package, rows, guesses = project.package, project.rows, project.guesses
    identity = (package, project.name, project.target)
    return {
        "workspace.yaml": WORKSPACE.format(package=package),
        "pytest.ini": PYTEST,
        "Makefile": MAKEFILE.format(name=project.name, python=sys.executable),
        "README.md": README.format(name=project.name, package=package),
        ".gitignore": ".mlops/\n__pycache__/\n.pytest_cache/\n.venv/\n",
        f"{package}/__init__.py": f'"""The model {project.name}: its declaration and its features."""\n',
        f"{package}/definitions.py": DEFINITIONS,
        f"{package}/features.py": features_file(feature_functions(rows, guesses)),
        f"{package}/lifecycle.yaml": declaration(project),
        f"tests/test_{project.name}.py": tests_file(rows, guesses, identity=identity),
    }


def declaration(project: Project) -> str:
    """Write the declaration, each guess explained beside it."""
    sections = (
        identity_lines,
        ingest_lines,
        validate_lines,
        features_lines,
        train_lines,
        rest_lines,
    )
    return "\n".join(line for section in sections for line in (*section(project), ""))


def identity_lines(project: Project) -> Iterator[str]:
    """Write who the model is."""
    guesses = project.guesses
    yield f"# The life of the model {project.name}, guessed from {guesses.rows} rows. Every guess is"
    yield "# explained beside it; change what is wrong, then: mlops-dagster check"
    yield f"name: {project.name}"
    yield f"task: {guesses.task.value}  # {guesses.task_because}"
    yield f"target: {text(project.target)}"
    if guesses.key:
        yield f"key: [{', '.join(text(one) for one in guesses.key)}]  # {guesses.key_because}"
    else:
        yield f"# key: {guesses.key_because}"
    if guesses.event_time:
        yield f"event_time: {text(guesses.event_time)}  # {guesses.event_time_because}"
    else:
        yield f"# event_time: {guesses.event_time_because}; windows are by arrival"


def ingest_lines(project: Project) -> Iterator[str]:
    """Write where rows come from."""
    yield "ingest:"
    yield f"  source: {project.source}  # {project.source_because}"


def validate_lines(project: Project) -> Iterator[str]:
    """Write the first expectations."""
    lines = list(suite_lines(project.rows, project.guesses, target=project.target))
    if not lines:
        return
    yield "# What rows must hold, taken from the table itself. `critical` refuses the whole batch; with"
    yield "# `mostly: 0.99` among its kwargs only the rows that break it, while they are at most 1 %."
    yield "# `warning` only shows. Ranges are half their width wider than what was seen."
    yield "validate:"
    yield "  expectations:"
    yield from (f"    {line}" for line in lines)


def features_lines(project: Project) -> Iterator[str]:
    """Write what the model is given, and what not and why."""
    guesses = project.guesses
    for name in guesses.inputs:
        yield f"# given {text(name)}: {kind_of(project.rows[name], is_date=name in guesses.dates)}"
    functions = feature_functions(project.rows, guesses)
    yield "features:"
    yield f"  functions: [{', '.join(f'{project.package}.features:{one}' for one in functions)}]"
    if guesses.excluded:
        yield "  exclude:"
    for name, because in guesses.excluded.items():
        yield f"    - {text(name)}  # {because}"


def train_lines(project: Project) -> Iterator[str]:
    """Write what is fitted, and which rows are held out."""
    guesses = project.guesses
    forest = guesses.rows < FEW_ROWS
    family = "RandomForest" if forest else "HistGradientBoosting"
    kind = "Classifier" if guesses.task.is_classification else "Regressor"
    why = f"{'steady on few rows' if forest else 'fast on many rows'}; reads missing values as they are"
    yield "train:"
    yield f"  estimator: sklearn.ensemble.{family}{kind}  # {why}"
    if forest:
        yield "  parameters: {n_estimators: 200, min_samples_leaf: 3}"
    elif guesses.rows < STOPS_BY_ITSELF and fewest_of_a_class(project) >= FEWEST_SET_ASIDE:
        yield "  parameters: {early_stopping: true}  # when rows set aside get no better: it learns noise otherwise"
    yield f"  split: {split_text(guesses)}  # {guesses.split.because}"
    yield "  seed: 7"


def fewest_of_a_class(project: Project) -> int:
    """Count the rows of the rarest class; of a regression, all."""
    known = project.rows[project.target].dropna()
    return int(known.value_counts().min()) if project.guesses.task.is_classification else len(known)


def split_text(guesses: Guesses) -> str:
    """Write which rows are held out."""
    split = guesses.split
    if split.days:
        return f"{{kind: time, holdout: {split.days}d}}"
    # In shares of few rows each class is rounded by itself, and a side may come out too small.
    stratified = guesses.task.is_classification and guesses.rows >= FEWEST_STRATIFIED
    return f"{{kind: {'stratified' if stratified else 'random'}, holdout: {split.share:g}}}"


def rest_lines(project: Project) -> Iterator[str]:
    """Write how a candidate is judged and when it goes live."""
    metrics, main = METRICS[project.guesses.task]
    yield "evaluate:"
    yield f"  metrics: [{', '.join(metrics)}]"
    yield "  gates:"
    yield f"    - {{kind: beats_dummy, metric: {main}}}  # better than always saying the usual"
    yield f"    - {{kind: beats_champion, metric: {main}}}  # and than the model that serves"
    yield "deploy: {promotion: automatic}  # or manual: then a person approves each version"


METRICS = {
    Task.BINARY: (("roc_auc", "log_loss", "brier"), "log_loss"),
    Task.MULTICLASS: (("accuracy", "log_loss"), "log_loss"),
    Task.REGRESSION: (("rmse", "mae", "r2"), "rmse"),
}


def kind_of(column: pd.Series, *, is_date: bool) -> str:
    """Describe one column in a few words."""
    known = column.dropna()
    kind = type(known.iloc[0]).__name__ if column.dtype == object else str(column.dtype)
    kind = "date" if is_date else "text" if isinstance(known.iloc[0], str) else kind
    missing = f", missing in {column.isna().mean():.1%} of rows" if column.isna().any() else ""
    return f"{kind}, {known.nunique()} different values{missing}"


def text(value: str) -> str:
    """Write a text as YAML; quoted unless it is a plain word."""
    return (
        value
        if value.isidentifier() and value.lower() not in YAML_WORDS
        else json.dumps(value, ensure_ascii=False)
    )


YAML_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}

WORKSPACE = """load_from:
  - python_module:
      module_name: {package}.definitions
      working_directory: .
"""

# Without it pytest takes the settings of a folder above.
PYTEST = """[pytest]
testpaths = tests
"""

MAKEFILE = """# The Python that made this project, else the one on the PATH; or: make run PYTHON=...
PYTHON ?= $(or $(wildcard {python}),python)

.PHONY: run test

run:
\t@"$(PYTHON)" -m mlops_dagster.cli.main run {name}

test:
\t@"$(PYTHON)" -c "import pytest" 2>/dev/null || {{ echo "The tests need pytest: pip install pytest"; exit 1; }}
\t@"$(PYTHON)" -m pytest -q tests
"""

README = """# {name}

A model and its whole life, declared in `{package}/lifecycle.yaml`.

- `make run`: take in the table, judge it, train, judge the model, put it live, score, watch.
- `make test`: the project's own tests (`pip install pytest`).

| to | do |
|---|---|
| change what the model is given | write functions in `{package}/features.py` |
| see whether the declaration holds | `mlops-dagster check` |
| see what serves | `mlops-dagster status {name}` |
| open Dagster's and MLflow's pages | `mlops-dagster dev` |

Everything that is made is kept in `.mlops/`; `MLOPS_HOME` moves it.
"""
