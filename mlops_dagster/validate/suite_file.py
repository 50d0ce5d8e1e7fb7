"""Reads the declared expectations, inline or from a suite file. Great Expectations is not imported."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mlops_dagster.errors import SpecError
from mlops_dagster.validate.names import require_known
from mlops_dagster.validate.spec import ExpectationSpec, ValidateSpec

_OURS = ("type", "kwargs", "severity", "meta")


def expectations_of(spec: ValidateSpec, *, where: str) -> tuple[ExpectationSpec, ...]:
    """List what is declared, with what the suite file adds; every type is known.

    Raises: SpecError naming the file, the expectation and what is wrong.
    """
    require_known(spec.expectations, where=f"{where}.expectations")
    if spec.suite is None:
        return spec.expectations
    return (*spec.expectations, *read_suite(Path(spec.suite), where=f"{where}.suite"))


def read_suite(path: Path, *, where: str) -> tuple[ExpectationSpec, ...]:
    """Read a suite that Great Expectations 1.x wrote, as JSON or YAML."""
    place = f"{where}: {path}"
    listed = _listed(_parse(path, place=place), place=place)
    expectations = tuple(_expectation(one, place=f"{place}[{i}]") for i, one in enumerate(listed))
    require_known(expectations, where=place)
    return expectations


def _parse(path: Path, *, place: str) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{place}: the suite cannot be read: {error.strerror}. Check the path."
        raise SpecError(message) from error
    try:
        parsed: object = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        message = f"{place}: the suite is neither JSON nor YAML: {error}"
        raise SpecError(message) from error
    return parsed


def _listed(parsed: object, *, place: str) -> Sequence[object]:
    found = parsed.get("expectations") if isinstance(parsed, dict) else parsed
    if not isinstance(found, list):
        message = (
            f"{place}: there is no list under `expectations`, as Great Expectations 1.x writes."
        )
        raise SpecError(message)
    return found


def _expectation(given: object, *, place: str) -> ExpectationSpec:
    if isinstance(given, dict) and "expectation_type" in given:
        message = (
            f"{place}: `expectation_type` is how Great Expectations 0.x wrote it. "
            "Write `type`, or save the suite again with version 1."
        )
        raise SpecError(message)
    if not isinstance(given, dict):
        message = f"{place}: an expectation is a mapping with `type` and `kwargs`, not {given!r}."
        raise SpecError(message)
    kept: dict[str, Any] = {name: given[name] for name in _OURS if given.get(name) is not None}
    try:
        return ExpectationSpec(**kept)
    except ValidationError as error:
        first = error.errors()[0]
        named = ".".join(str(part) for part in first["loc"])
        message = f"{place}.{named}: {first['msg']}."
        raise SpecError(message) from error
