"""Show that a model's files need neither the user's source nor us, before they are registered."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.scoring.example import EXAMPLE, read_example, same_answers
from mlops_dagster.stores.mlflow_home import be_quiet

_MARK = "looked for the source of "
_TIMEOUT_S = 300
_CHANGED = f"raise ImportError({_MARK!r} + __name__)\n"
# Runs in a fresh interpreter: the user's project is not on its path, and where his modules and ours
# would be found stand modules that refuse to be imported.
_ALONE = """
import gc, json, os, sys
from pathlib import Path

gc.disable()  # it lives for seconds, and half of one went into sifting loaded libraries

import mlflow.pyfunc
import pandas as pd
import sklearn.pipeline

line = sys.stdin.readline()
if not line:
    sys.exit()
folder, changed, example = json.loads(line)
os.chdir(changed)
sys.path.insert(0, changed)

def tell(answer):
    return json.loads(json.dumps(answer.to_dict(orient="list"), default=str))

try:
    stored = json.loads(Path(folder, example).read_text())
    # The requirements were pinned from this very environment: MLflow need not compare them.
    model = mlflow.pyfunc.load_model(folder, suppress_warnings=True)
    carried = model.unwrap_python_model()
    rows = pd.DataFrame(stored["inputs"], columns=carried.inner.inputs)
    alone = tell(carried.predict(None, rows))
    for name in carried.inner.numbers:
        rows[name] = pd.to_numeric(rows[name]).astype("float64")
    told = {"alone": alone, "served": tell(model.predict(rows))}
except Exception as error:
    told = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(told), flush=True)
os._exit(0)  # to free what was loaded takes half a second
"""


def verify_alone(folder: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
    """Load the model in a process of its own, beside a changed source, and let it answer its example.

    One process shows both: the user's source is not there, and what is found in its place raises.
    Raises: DataNotFitError naming the module that was looked for, or what was answered instead.
    """
    stored = read_example(folder)
    told = ask_alone(folder, packages=["mlops_dagster", *stored.carried], timeout_s=timeout_s)
    if error := told.get("error"):
        raise DataNotFitError(_refusal(error))
    if not same_answers(told["alone"], stored.predictions):
        message = (
            f"The model answers its example with {told['alone']} in a process without your source, and "
            f"with {stored.predictions} beside it. Its feature code must depend on its rows alone: "
            "no files, no environment, no chance."
        )
        raise DataNotFitError(message)
    if not same_answers(told["served"], stored.predictions):
        message = (
            f"The model answers its example with {told['served']} through MLflow, as it serves, and with "
            f"{stored.predictions} where it was trained. Let the feature code treat 1 and 1.0 alike."
        )
        raise DataNotFitError(message)


def ask_alone(folder: Path, *, packages: Sequence[str], timeout_s: float) -> dict[str, Any]:
    """Score the example in a fresh process in which importing any of `packages` raises.

    Raises: DataNotFitError when it has not answered in time.
    """
    with tempfile.TemporaryDirectory(prefix="mlops_dagster_alone_") as place:
        for name in packages:
            (Path(place) / f"{name}.py").write_text(_CHANGED)
        asked = json.dumps([str(folder.resolve()), place, EXAMPLE])
        with _take() as process:
            try:
                said, complaint = process.communicate(f"{asked}\n", timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                process.kill()
                message = (
                    f"The model at {folder} has not answered its example of a few rows in "
                    f"{timeout_s:g} s in a process of its own. Its feature code must not wait for "
                    "anything outside."
                )
                raise DataNotFitError(message) from error
    lines = said.strip().splitlines()
    if process.returncode or not lines:
        return {"error": f"the process ended with {process.returncode}: {complaint.strip()[-500:]}"}
    told: dict[str, Any] = json.loads(lines[-1])
    return told


def warm_up() -> None:
    """Start the process that `verify_alone` will ask, so that it loads its libraries meanwhile.

    That takes most of its time. It ends with this process if it is never asked.
    """
    if not _WARM:
        _WARM.append(_start())


_WARM: "list[subprocess.Popen[str]]" = []


def _take() -> "subprocess.Popen[str]":
    warm = _WARM.pop() if _WARM else None
    return warm if warm and warm.poll() is None else _start()


def _start() -> "subprocess.Popen[str]":
    be_quiet()
    return subprocess.Popen(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-I", "-c", _ALONE],
        cwd=tempfile.gettempdir(),
        # Five rows are scored: more threads would only wait for one another, and burn a quarter of its CPU.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@atexit.register
def _end_unasked() -> None:
    for process in _WARM:
        process.kill()
        process.communicate()


def _refusal(error: str) -> str:
    _, found, module = error.partition(_MARK)
    why = f"it looks for the source of {module!r}" if found else error
    return (
        f"The model cannot be used in a process without your source: {why}. Keep what the feature "
        "functions need in their own package, imported at the top of its modules, and train again."
    )
