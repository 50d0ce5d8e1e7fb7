"""Reading a written declaration: templates first, then the shape.

`{{ env.X }}` is resolved before anything is judged, so it may stand for a number or a duration too.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import yaml
from pydantic import ValidationError

from mlops_dagster.declaration_errors import Location, find_place, spec_error, write_path
from mlops_dagster.errors import MlopsError, SpecError, first_line
from mlops_dagster.spec import LifecycleSpec

Render: TypeAlias = Callable[[Location, str], object]
"""Turns the template at a place of the declaration into its value."""

_CROSS_CHECKS = frozenset({"value_error", "assertion_error"})


def load_lifecycle(
    path: str | Path, *, environment: Mapping[str, str] | None = None
) -> LifecycleSpec:
    """Read a declaration from YAML: a component's document with `attributes:`, or these alone.

    `environment` is what `{{ env.X }}` reads, by default the process's own.
    Raises: SpecError naming the file, the field, what stood there and what is needed.
    """
    place = Path(path)
    values = os.environ if environment is None else environment
    try:
        return read_declaration(read_attributes(place), render_with(values))
    except MlopsError as error:
        message = f"{place}: {error}"
        raise SpecError(message) from error


def read_attributes(path: Path) -> Mapping[str, object]:
    """Read the mapping that declares one model."""
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"it cannot be read: {first_line(error)}. Give the path of a YAML file."
        raise SpecError(message) from error
    except yaml.YAMLError as error:
        message = f"it is no YAML: {' '.join(str(error).split())}"
        raise SpecError(message) from error
    if isinstance(written, Mapping) and "attributes" in written:
        written = written["attributes"]
    if not isinstance(written, Mapping):
        message = f"{type(written).__name__} stood there; needed is a mapping with name, task, ..."
        raise SpecError(message)
    return written


def read_declaration(attributes: Mapping[str, object], render: Render) -> LifecycleSpec:
    """Resolve the templates in `attributes`, then judge the shape and the cross-checks.

    Raises: SpecError listing every mistake.
    """
    templates = dict(templates_in(attributes))
    values = {place: value_of(place, text, render) for place, text in templates.items()}
    try:
        return LifecycleSpec.model_validate(filled(attributes, values))
    except ValidationError as error:
        # A template reads `2013` as a number, also where a text was declared.
        texts: dict[Location, object] = {
            place: str(values[place]) for place in wants_text(error) if place in values
        }
        if not texts:
            raise spec_error(error, LifecycleSpec, name=name_of(attributes)) from error
    try:
        return LifecycleSpec.model_validate(filled(attributes, {**values, **texts}))
    except ValidationError as error:
        raise spec_error(error, LifecycleSpec, name=name_of(attributes)) from error


def value_of(place: Location, text: str, render: Render) -> object:
    """Resolve one template. Raises: SpecError when it gives nothing, as an unset variable does."""
    value = render(place, text)
    if value is None or str(value) == "":
        message = (
            f"{write_path(place)}: {text!r} gave nothing. "
            "Set the environment variable that it names, or write the value."
        )
        raise SpecError(message)
    return value


def shape_errors(attributes: Mapping[str, object]) -> ValidationError | None:
    """Judge what can be judged before templates are resolved."""
    try:
        LifecycleSpec.model_validate(attributes)
    except ValidationError as error:
        templates = dict(templates_in(attributes))
        if not templates:
            return error
        kept = [
            one
            for one in error.errors(include_url=False)
            if one["type"] not in _CROSS_CHECKS and not explains(templates, one["loc"])
        ]
        return error if kept else None
    return None


def explains(templates: Mapping[Location, str], location: Location) -> bool:
    """Tell whether a template stands at the place of an error, or inside it as its `kind`."""
    path = find_place(LifecycleSpec, location).path
    return path in templates or (*path, "kind") in templates


def wants_text(error: ValidationError) -> Iterator[Location]:
    """List the places where a text was needed."""
    for one in error.errors(include_url=False):
        if one["type"] == "string_type":
            yield find_place(LifecycleSpec, one["loc"]).path


def templates_in(value: object, at: Location = ()) -> Iterator[tuple[Location, str]]:
    """List the templates of a declaration and where they stand."""
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        yield at, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from templates_in(inner, (*at, str(key)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from templates_in(inner, (*at, index))


def filled(value: object, values: Mapping[Location, object], at: Location = ()) -> object:
    """Copy a declaration with values in the place of its templates."""
    if at in values:
        return values[at]
    if isinstance(value, Mapping):
        return {key: filled(inner, values, (*at, str(key))) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, values, (*at, index)) for index, inner in enumerate(value)]
    return value


def render_with(environment: Mapping[str, str]) -> Render:
    """Resolve templates as Dagster does, with `env` as the only name."""

    def render(place: Location, text: str) -> object:
        from jinja2 import TemplateError
        from jinja2.nativetypes import NativeTemplate

        try:
            return NativeTemplate(text).render(env=_Environment(environment))
        except TemplateError as error:
            message = (
                f"{write_path(place)}: {text!r} cannot be filled in: {first_line(error)}. "
                "Use {{ env.NAME }} or {{ env('NAME', 'default') }}."
            )
            raise SpecError(message) from error

    return render


class _Environment:
    """What `env` is in a template: `env.NAME`, or `env('NAME', default)`."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __call__(self, name: str, default: object = None) -> object:
        return self._values.get(name, default)

    def __getattr__(self, name: str) -> str | None:
        if name.startswith("jinja"):
            raise AttributeError(name)
        return self._values.get(name)


def name_of(attributes: Mapping[str, object]) -> str:
    """Tell the model's name as far as it is readable."""
    name = attributes.get("name")
    return name if isinstance(name, str) else ""
