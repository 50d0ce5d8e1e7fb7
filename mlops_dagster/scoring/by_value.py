"""Save a model whose files carry the user's code, so that they need neither his source nor us."""

import logging
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import (
    PackageNotFoundError,
    distribution,
    packages_distributions,
    version,
)
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_dagster.scoring import artifact as artifact_module
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.carrying import by_value, load_of, refuse_what_stays_behind
from mlops_dagster.scoring.example import write_example
from mlops_dagster.stores.mlflow_home import be_quiet

_ALWAYS = ("mlflow", "cloudpickle", "pandas", "numpy", "scikit-learn", "scipy")
_NAMED_OTHERWISE = {"sklearn": "scikit-learn"}


def package_model(
    artifact: ModelArtifact,
    folder: Path,
    *,
    user_packages: Sequence[str],
    signature: Any,
    input_example: pd.DataFrame,
    requirements: Sequence[str],
) -> None:
    """Write an MLflow model folder that carries `user_packages` by value.

    What the carried code imports is added to the requirements. The example and the predictions it
    must give are kept beside the model.
    Raises: DataNotFitError when the code needs something that would stay behind.
    """
    with by_value([*user_packages, artifact_module.__name__]):
        load = load_of(artifact, user_packages)
        refuse_what_stays_behind(load, user_packages)
        needed = {*requirements, *pins_of(load.modules)}
        _save(artifact, folder, signature=signature, requirements=sorted(needed))
    write_example(folder, artifact, input_example, carried=user_packages)


def user_packages_of(functions: Sequence[Callable[..., Any]]) -> list[str]:
    """Name the top-level packages that hold the user's own code: those of his functions."""
    return sorted({str(function.__module__).partition(".")[0] for function in functions})


def explicit_requirements(estimator: str) -> list[str]:
    """Pin what a process needs to load the model, the estimator's own distribution included."""
    return sorted({*(f"{name}=={version(name)}" for name in _ALWAYS), *pins_of([estimator])})


def pins_of(modules: Iterable[str]) -> list[str]:
    """Pin the distributions that bring these modules; those of Python itself have none."""
    tops = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    names = {name for top in tops for name in _distributions_of(top)}
    return sorted(f"{name}=={version(name)}" for name in names)


def _distributions_of(module: str) -> list[str]:
    # Most bear their module's name, and asking for that one is free.
    try:
        return [distribution(_NAMED_OTHERWISE.get(module, module)).name.lower()]
    except PackageNotFoundError:
        return [name.lower() for name in _distributions().get(module, [])]


@cache
def _distributions() -> dict[str, list[str]]:
    # Reads the file lists of everything that is installed, so once in a process.
    return {top: list(names) for top, names in packages_distributions().items()}


def _save(
    artifact: ModelArtifact, folder: Path, *, signature: Any, requirements: Sequence[str]
) -> None:
    be_quiet()
    import mlflow.pyfunc

    with told_on_purpose():

        class CarriedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
            """MLflow's face of the artifact."""

            # The signature is declared; hints on `predict` would only be read to guess it.
            _skip_type_hint_validation = True

            def __init__(self, inner: ModelArtifact) -> None:
                self.inner = inner

            def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
                return self.inner.predict(context, model_input, params)

        mlflow.pyfunc.save_model(
            str(folder),
            python_model=CarriedModel(artifact),
            signature=signature,
            pip_requirements=list(requirements),
        )


def is_time(values: pd.Series) -> bool:
    """Tell whether a column holds instants."""
    return bool(pd.api.types.is_datetime64_any_dtype(values))


def signature_of(
    inputs: pd.DataFrame, answer: pd.DataFrame, *, optional: Collection[str] = ()
) -> Any:
    """Describe inputs and predictions for MLflow: an input may be null, but only `optional` ones absent.

    Times are `any`: MLflow's `datetime` refuses a time zone, and the artifact reads ISO 8601 text as
    well. So are numbers: MLflow's `double` refuses whole ones, its `long` a null among them.
    """
    be_quiet()
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    def column(name: str, values: pd.Series, *, required: bool = False) -> ColSpec:
        if pd.api.types.is_bool_dtype(values):
            return ColSpec("boolean", name, required=required)
        if pd.api.types.is_float_dtype(values):
            return ColSpec("double", name, required=required)
        return ColSpec("string", name, required=required)

    def given(name: str, values: pd.Series) -> ColSpec:
        if pd.api.types.is_numeric_dtype(values) or is_time(values):
            return ColSpec(AnyType(), name, required=name not in optional)
        return column(name, values, required=name not in optional)

    return ModelSignature(
        inputs=Schema([given(str(name), inputs[name]) for name in inputs]),
        outputs=Schema([column(str(name), answer[name]) for name in answer]),
    )


@contextmanager
def told_on_purpose() -> Iterator[None]:
    """Keep MLflow's advice on pickles, type hints and examples from users: each is decided here."""
    log = logging.getLogger("mlflow.pyfunc")
    before = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
        yield
    log.setLevel(before)
