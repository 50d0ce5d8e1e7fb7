"""Whether the optional part that converts to ONNX is installed; looked up, not imported."""

from importlib.util import find_spec

from mlops_dagster.errors import MissingExtraError


def need_onnx(*, to_convert: bool) -> None:
    """See that the optional part is there. Raises: MissingExtraError with the way to install it."""
    modules = ["onnxruntime", *(["skl2onnx"] if to_convert else [])]
    if any(find_spec(one) is None for one in modules):
        feature = "serve.endpoint.accelerator"
        raise MissingExtraError.needed(feature, "onnx")
