"""Find the user's functions, and digest the code that they depend on."""

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mlops_dagster.errors import SpecError, first_line, nearest


def resolve_function(path: str, *, where: str = "features.functions") -> Callable[..., Any]:
    """Import `module:function`. Raises: SpecError saying which half is wrong, and what there is."""
    module_name, _, name = path.partition(":")
    if not name:
        message = f"{where}: {path!r} names no function. Write it as 'module.path:function'."
        raise SpecError(message)
    try:
        module = import_module(module_name)
    except ImportError as error:
        message = (
            f"{where}: {module_name!r} cannot be imported: {first_line(error)}. "
            "Check the path and the Python path."
        )
        raise SpecError(message) from error
    found = getattr(module, name, None)
    if not callable(found):
        there = [one for one, value in vars(module).items() if callable(value)]
        message = f"{where}: {module_name!r} has no function {name!r}. {nearest(name, there)}"
        raise SpecError(message)
    return found  # type: ignore[no-any-return]


def code_digest(paths: Sequence[str]) -> str:
    """Digest the user's modules that the functions depend on: 16 hex digits.

    Comments, layout and docstrings do not count, nor do modules that the functions never import.
    """
    functions = [resolve_function(path) for path in paths]
    modules = _closure([sys.modules[str(function.__module__)] for function in functions])
    told = [f"{name}\0{_meaning(place)}" for name, place in sorted(modules.items())]
    return hashlib.sha256("\0".join([*paths, *told]).encode()).hexdigest()[:16]


def is_user_code(module: ModuleType) -> bool:
    """Tell whether a module is the user's own: neither Python's nor an installed package's."""
    place = getattr(module, "__file__", None)
    if place is None or not place.endswith(".py"):
        return False
    roots = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")}
    return not any(root in Path(place).resolve().parents for root in roots)


def _closure(modules: Sequence[ModuleType]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    open_ones = list(modules)
    while open_ones:
        module = open_ones.pop()
        if module.__name__ in found or not is_user_code(module):
            continue
        found[module.__name__] = Path(str(module.__file__))
        open_ones += [sys.modules[name] for name in _imported_by(module) if name in sys.modules]
    return found


def _imported_by(module: ModuleType) -> Iterator[str]:
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            parents = (module.__package__ or "").split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _meaning(place: Path) -> str:
    tree = ast.parse(place.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            del body[0]
    return ast.dump(tree)
