"""The estimator and what stands before it: encoders for text, times for nulls."""

import inspect
from importlib import import_module
from typing import Any

import pandas as pd

from mlops_dagster.declaration import Task
from mlops_dagster.errors import SpecError, first_line, nearest
from mlops_dagster.train.spec import EncodeSpec, TrainSpec


def resolve_estimator(path: str) -> type[Any]:
    """Import an estimator's class. Raises: SpecError saying which half is wrong."""
    module_name, _, name = path.rpartition(".")
    if not module_name:
        message = (
            f"train.estimator: {path!r} names no module. Write it as 'package.module.Class', such as "
            "'sklearn.linear_model.LogisticRegression'."
        )
        raise SpecError(message)
    try:
        module = import_module(module_name)
    except ImportError as error:
        message = (
            f"train.estimator: {module_name!r} cannot be imported: {first_line(error)}. "
            "Check the path, or install the package that has it."
        )
        raise SpecError(message) from error
    found = getattr(module, name, None)
    if not inspect.isclass(found) or not hasattr(found, "fit"):
        there = [one for one, value in vars(module).items() if hasattr(value, "fit")]
        message = f"train.estimator: {path!r} is no estimator. {nearest(name, there)}"
        raise SpecError(message)
    return found


def make_estimator(spec: TrainSpec, task: Task) -> Any:
    """Make the estimator with its parameters and the seed. Raises: SpecError for a wrong one."""
    estimator = construct(spec)
    if task.is_classification and not hasattr(estimator, "predict_proba"):
        message = (
            f"train.estimator: {spec.estimator} has no predict_proba, and {task.value} needs "
            "probabilities. Use a classifier that gives them."
        )
        raise SpecError(message)
    if not task.is_classification and hasattr(estimator, "predict_proba"):
        message = (
            f"train.estimator: {spec.estimator} is a classifier, and the task is {task.value}. "
            "Use a regressor."
        )
        raise SpecError(message)
    return estimator


def construct(spec: TrainSpec) -> Any:
    """Call the estimator's class. Raises: SpecError for a parameter that it does not take."""
    kind = resolve_estimator(spec.estimator)
    known = inspect.signature(kind).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in known.values())
    for name in spec.parameters:
        if name not in known and not open_ended:
            raise SpecError.unknown(where="train.parameters", value=name, known=known)
    given = dict(spec.parameters)
    if "random_state" in known:
        given.setdefault("random_state", spec.seed)
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        message = f"train.parameters: {spec.estimator} refuses them: {first_line(error)}"
        raise SpecError(message) from error


def make_pipeline(estimator: Any, features: pd.DataFrame, encode: EncodeSpec) -> Any:
    """Put encoders before an estimator, for the columns of these features."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    texts = texts_of(features)
    numbers = [str(name) for name in features if name not in texts]
    takes_nulls = accepts_nulls(estimator)
    steps = []
    if texts:
        ordinal = encode.categorical == "ordinal" or (encode.categorical == "auto" and takes_nulls)
        steps.append(("text", text_encoder(ordinal=ordinal, keep=takes_nulls), texts))
    if numbers:
        keep = encode.missing == "keep" or (encode.missing == "auto" and takes_nulls)
        steps.append(("numbers", number_encoder(keep=keep), numbers))
    encoder = ColumnTransformer(steps, sparse_threshold=0.0)
    return Pipeline([("encode", encoder), ("estimator", estimator)])


def texts_of(features: pd.DataFrame) -> list[str]:
    """Name the feature columns that are no numbers."""
    return [str(name) for name in features if not pd.api.types.is_numeric_dtype(features[name])]


def accepts_nulls(estimator: Any) -> bool:
    """Ask the estimator whether it takes nulls; one that cannot say does not."""
    from sklearn.utils import get_tags

    try:
        return bool(get_tags(estimator).input_tags.allow_nan)
    except AttributeError:
        return False


def text_encoder(*, ordinal: bool, keep: bool) -> Any:
    """Encode text: as one number per word, or as one column per word.

    Among the numbers null stays null where the estimator takes it (`keep`), else it is one more word.
    A word that was not fitted on is answered as null is: any other number would be next to some word.
    """
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if ordinal:
        null = float("nan") if keep else -1
        return OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=null, encoded_missing_value=null
        )
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False
    )


def number_encoder(*, keep: bool) -> Any:
    """Pass numbers through, or fill nulls with the median and scale."""
    if keep:
        return "passthrough"
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline as chain
    from sklearn.preprocessing import StandardScaler

    return chain(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
