"""What a pickled model carries by value, what it only names, and what of that would stay behind."""

import dis
import io
import pickle
import pickletools
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from mlops_dagster.errors import DataNotFitError


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The functions that travel with a model, and the modules that must be where it is loaded."""

    functions: tuple[FunctionType, ...]
    modules: frozenset[str]


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


def load_of(model: Any, packages: Sequence[str]) -> Load:
    """See what travels with a model, under `by_value` of these packages.

    Raises: DataNotFitError when it holds what cannot be pickled, such as an open file.
    """
    import cloudpickle

    carried: list[FunctionType] = []

    class Watching(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
        """Pickles, and notes the functions that are carried."""

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, FunctionType) and _top(str(value.__module__)) in packages:
                carried.append(value)
            return super().reducer_override(value)

    pickled = io.BytesIO()
    try:
        Watching(pickled).dump(model)
    except (pickle.PicklingError, TypeError) as error:
        message = (
            f"The model cannot be saved: {error}. Feature code must not hold open files or locks."
        )
        raise DataNotFitError(message) from error
    named = named_modules(pickled.getvalue())
    late = {name for function in carried for name in late_imports(function)}
    loaded_late = {name for name in late if name in sys.modules}
    return Load(functions=tuple(carried), modules=frozenset(named | loaded_late))


def refuse_what_stays_behind(load: Load, packages: Sequence[str]) -> None:
    """Refuse a model that would look for the user's source where it is scored.

    Raises: DataNotFitError naming the import or the module, and the way out.
    """
    for function in load.functions:
        for imported in late_imports(function):
            if _top(imported) in packages or not is_installed(imported):
                message = (
                    f"{function.__module__}.{function.__qualname__} imports {imported!r} inside the "
                    "function. The model carries its feature code, and that import would look for "
                    "your source where it is scored. Move the import to the top of the module."
                )
                raise DataNotFitError(message)
    known = {*packages, "__main__"}
    left = sorted(
        name for name in load.modules if _top(name) not in known and not is_installed(name)
    )
    if left:
        message = (
            f"The model refers to {left[0]!r}, which would stay behind: it is not installed as a "
            "package. Move that code into the package of the feature functions "
            f"({', '.join(packages) or 'none declared'}), or install it."
        )
        raise DataNotFitError(message)


def late_imports(function: FunctionType) -> list[str]:
    """List the modules that a function imports when it is called."""
    package = str(function.__globals__.get("__package__") or "")
    return list(_imported_by(function.__code__, package))


def named_modules(pickled: bytes) -> set[str]:
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
            pushed.append(memo[int(argument or 0)])
        elif opcode.name not in {"PROTO", "FRAME"}:
            # Whatever else was pushed last is not the name of a module.
            pushed.append(argument if isinstance(argument, str) else "")
    return {name for name in named if name in sys.modules}


def is_installed(module: str) -> bool:
    """Tell whether a module comes with Python or with an installed package."""
    top = _top(module)
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return True
    place = _place_of(module)
    roots = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")}
    return place is None or any(root in Path(place).resolve().parents for root in roots)


def _place_of(module: str) -> str | None:
    loaded = sys.modules.get(module) or sys.modules.get(_top(module))
    if loaded is not None:
        return getattr(loaded, "__file__", None)
    found = find_spec(_top(module))
    return found.origin if found else None


def _top(module: str) -> str:
    return module.partition(".")[0]


def _imported_by(code: CodeType, package: str) -> Iterator[str]:
    level = 0
    for one in dis.get_instructions(code):
        if one.opname == "LOAD_CONST" and isinstance(one.argval, int):
            level = one.argval
        if one.opname == "IMPORT_NAME":
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - level + 1]) if level else ""
            yield f"{base}.{one.argval}".strip(".")
            level = 0
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported_by(constant, package)
