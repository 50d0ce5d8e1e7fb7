"""Save a model whose files carry the user's code, so that they need neither his source nor us."""

import dis
import json
import logging
import pickle
import pickletools
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pandas as pd

from mlops_dagster.errors import DataNotFitError
from mlops_dagster.scoring import artifact as artifact_module
from mlops_dagster.scoring.artifact import ModelArtifact
from mlops_dagster.scoring.rows import encode_inputs
from mlops_dagster.stores.mlflow_home import be_quiet

EXAMPLE = "expected_predictions.json"
_ALWAYS = ("mlflow", "cloudpickle", "pandas", "numpy", "scikit-learn", "scipy")


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

    The example and the predictions it must give are kept beside it.
    Raises: DataNotFitError when the code needs something that would stay behind.
    """
    refuse_imports_inside(user_packages)
    with by_value([*user_packages, artifact_module.__name__]):
        refuse_what_stays_behind(artifact, user_packages)
        _save(artifact, folder, signature=signature, requirements=requirements)
    # The example goes through text, as any row that is asked about later does.
    example = [json.loads(text) for text in encode_inputs(input_example)]
    expected = artifact.predict(None, pd.DataFrame(example, columns=artifact.inputs))
    content = {
        "carried": sorted(user_packages),
        "inputs": example,
        "predictions": expected.to_dict(orient="list"),
    }
    (folder / EXAMPLE).write_text(json.dumps(content, default=str))


def user_packages_of(functions: Sequence[Callable[..., Any]]) -> list[str]:
    """Name the top-level packages that hold the user's own code: those of his functions."""
    return sorted({str(function.__module__).partition(".")[0] for function in functions})


def explicit_requirements(estimator: str) -> list[str]:
    """Pin what a process needs to load the model, the estimator's own distribution included."""
    owners = packages_distributions().get(estimator.partition(".")[0], [])
    names = sorted({*_ALWAYS, *(name.lower() for name in owners)})
    return [f"{name}=={version(name)}" for name in names]


@contextmanager
def by_value(packages: Sequence[str]) -> Iterator[None]:
    """Let cloudpickle carry these packages whole for a while, instead of naming them."""
    import cloudpickle

    modules = [import_module(name) for name in packages]
    already = set(cloudpickle.list_registry_pickle_by_value())
    fresh = [module for module in modules if module.__name__ not in already]
    for module in fresh:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in fresh:
            cloudpickle.unregister_pickle_by_value(module)


def refuse_imports_inside(user_packages: Sequence[str]) -> None:
    """Refuse user functions that import the user's own modules when they are called.

    Such an import looks for the source at scoring time, where it is not, or has changed.
    """
    for module in _loaded_modules(user_packages):
        for name, imported in late_imports(module):
            if imported.partition(".")[0] in user_packages:
                message = (
                    f"{module.__name__}.{name} imports {imported!r} inside the function. The model "
                    "carries its feature code, and that import would look for your source where it "
                    "is scored. Move the import to the top of the module."
                )
                raise DataNotFitError(message)


def late_imports(module: ModuleType) -> Iterator[tuple[str, str]]:
    """List the imports inside the functions of a module, as (function, imported module)."""
    for name, value in vars(module).items():
        code = getattr(value, "__code__", None)
        if isinstance(code, CodeType) and getattr(value, "__module__", "") == module.__name__:
            for imported in _imported_by(code, module.__package__ or ""):
                yield name, imported


def refuse_what_stays_behind(artifact: ModelArtifact, user_packages: Sequence[str]) -> None:
    """Refuse a model that names modules which are neither carried nor installed.

    Raises: DataNotFitError naming the module and the way out.
    """
    import cloudpickle

    try:
        named = referenced_modules(cloudpickle.dumps(artifact))
    except (pickle.PicklingError, TypeError) as error:
        message = (
            f"The model cannot be saved: {error}. Feature code must not hold open files or locks."
        )
        raise DataNotFitError(message) from error
    left = sorted(
        name
        for name in named
        if name.partition(".")[0] not in {*user_packages, "__main__"} and not is_installed(name)
    )
    if left:
        message = (
            f"The model refers to {left[0]!r}, which would stay behind: it is not installed as a "
            "package. Move that code into the package of the feature functions "
            f"({', '.join(user_packages) or 'none declared'}), or install it."
        )
        raise DataNotFitError(message)


def referenced_modules(pickled: bytes) -> set[str]:
    """List the modules that a pickle names instead of carrying."""
    named: set[str] = set()
    pushed: list[str] = []
    memo: list[str] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            named.add(str(argument).partition(" ")[0])
        elif opcode.name == "STACK_GLOBAL":
            named.add(pushed[-2])
            pushed.append("")
        elif opcode.name == "MEMOIZE":
            memo.append(pushed[-1])
        elif opcode.name in {"BINGET", "LONG_BINGET"}:
            pushed.append(memo[argument])
        elif opcode.name not in {"PROTO", "FRAME"}:
            # Whatever else was pushed last is not the name of a module.
            pushed.append(argument if isinstance(argument, str) else "")
    return {name for name in named if name in sys.modules}


def is_installed(module: str) -> bool:
    """Tell whether a module comes with Python or with an installed package."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return True
    place = getattr(sys.modules.get(module) or import_module(module), "__file__", None)
    roots = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")}
    return place is None or any(root in Path(place).resolve().parents for root in roots)


def _save(
    artifact: ModelArtifact, folder: Path, *, signature: Any, requirements: Sequence[str]
) -> None:
    be_quiet()
    import mlflow.pyfunc

    with told_on_purpose():

        class CarriedModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined, misc]
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


def signature_of(inputs: pd.DataFrame, answer: pd.DataFrame) -> Any:
    """Describe inputs and predictions for MLflow: every input may be null, and none has to be there.

    Whole numbers are doubles, since MLflow refuses a null among integers. Times are `any`: MLflow's
    `datetime` refuses a time zone, and the artifact reads ISO 8601 text as well.
    """
    be_quiet()
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    def column(name: str, values: pd.Series) -> ColSpec:
        if pd.api.types.is_bool_dtype(values):
            return ColSpec("boolean", name, required=False)
        if pd.api.types.is_numeric_dtype(values):
            return ColSpec("double", name, required=False)
        if pd.api.types.is_datetime64_any_dtype(values):
            return ColSpec(AnyType(), name, required=False)
        return ColSpec("string", name, required=False)

    return ModelSignature(
        inputs=Schema([column(str(name), inputs[name]) for name in inputs]),
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


def _loaded_modules(packages: Sequence[str]) -> list[ModuleType]:
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.partition(".")[0] in packages and module is not None
    ]


def _imported_by(code: CodeType, package: str) -> Iterator[str]:
    level = 0
    for one in dis.get_instructions(code):
        if one.opname == "LOAD_CONST" and isinstance(one.argval, int):
            level = one.argval
        if one.opname == "IMPORT_NAME":
            relative = f"{package}.{one.argval}".strip(".")
            yield relative if level and package else str(one.argval)
            level = 0
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported_by(constant, package)
