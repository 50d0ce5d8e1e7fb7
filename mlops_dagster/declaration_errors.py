"""What is wrong with a declaration, in sentences: the field, what stood there, what is needed.

Pydantic says where an error is by a path through its own machinery; here that path is followed
through the declared types, so that it reads as the user wrote it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mlops_dagster.errors import SpecError, nearest

Location: TypeAlias = tuple[int | str, ...]

_LISTS = (list, tuple, set, frozenset, Sequence, AbstractSet, Iterable)
_MAPPINGS = (dict, Mapping)
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the written declaration an error is, and what is declared there.

    `path` leads through the mapping as written; `owners` are the specs that may hold its last part,
    `kinds` the types that may stand there.
    """

    path: Location
    owners: tuple[type[BaseModel], ...]
    kinds: tuple[Any, ...]
    description: str


def spec_error(error: ValidationError, model: type[BaseModel], *, name: str = "") -> SpecError:
    """Say everything that is wrong with the declaration of `name`, each in one sentence."""
    found = problems(error, model)
    if len(found) == 1:
        return SpecError(join_path(name, found[0]))
    lines = "\n".join(f"  - {one}" for one in found)
    return SpecError(f"{name or 'The declaration'} has {len(found)} mistakes:\n{lines}")


def problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """List the mistakes, each as `field.path: sentence`."""
    found: dict[Location, str] = {}
    for one in error.errors(include_url=False):
        place = find_place(model, one["loc"])
        said, before = sentence(one, place), found.get(place.path)
        if before is None:
            found[place.path] = said
        elif said != before:
            # One value, refused by each member of a union: what is needed is any of them.
            found[place.path] = f"{before.rstrip('.')}, or {said.partition('; ')[2] or said}"
    return [with_path(path, said) for path, said in found.items()]


def describe(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Name the field, what stood there, what was needed and the nearest right word."""
    place = find_place(model, detail["loc"])
    return with_path(place.path, sentence(detail, place))


def with_path(path: Location, said: str) -> str:
    """Put the path before a sentence that does not name it already."""
    written = write_path(path)
    return f"{written}: {said}" if written and not said.startswith(written) else said


def sentence(detail: ErrorDetails, place: Place) -> str:
    """Phrase one mistake, without its path."""
    known = [word for owner in place.owners for word in fields_of(owner)]
    given = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return f"there is no such key. {nearest(str(place.path[-1]), known)}"
        case "missing":
            return f"is missing. {place.description}".rstrip()
        case "union_tag_invalid" | "union_tag_not_found":
            return wrong_kind(detail, place)
        case "literal_error" | "enum" if words := quoted(detail.get("ctx", {}).get("expected")):
            return f"{show(given)} is not known. {nearest(str(given), words)}"
        case "value_error" | "assertion_error":
            return re.sub(r"^(Value|Assertion) error, ", "", detail["msg"])
        case kind:
            needed = re.sub(r"^\w+ should", "it should", detail["msg"]).rstrip(".")
            needed = needed.replace("a valid tuple", "a list")
            if kind.startswith("time_delta"):
                needed = "needed is a length of time such as 14d, 36h or 90m"
            if kind == "string_pattern_mismatch":
                needed = f"{needed}. {place.description}".rstrip(" .")
    return f"{show(given)} stood there; {needed}."


def wrong_kind(detail: ErrorDetails, place: Place) -> str:
    """Phrase a `kind` that is absent or that no spec has."""
    context = detail.get("ctx", {})
    word = str(context.get("discriminator", "kind")).strip("'")
    words = [tag for kind in place.kinds if is_spec(kind) for tag in tags_of(kind, word)]
    if "tag" in context:
        return f"{word} {context['tag']!r} is not known. {nearest(str(context['tag']), words)}"
    return f"{word} is missing. {nearest('', words)}".rstrip()


def find_place(model: type[BaseModel], location: Location) -> Place:
    """Follow pydantic's path through the declared types."""
    kinds: list[Any] = list(members(model))
    path: list[int | str] = []
    owners: tuple[type[BaseModel], ...] = ()
    description = ""
    for part in location:
        specs = [kind for kind in kinds if is_spec(kind)]
        if isinstance(part, int):
            path.append(part)
            kinds = [item for kind in kinds for item in items_of(kind, _LISTS, last=0)]
        elif chosen := [spec for spec in specs if len(specs) > 1 and is_tagged(spec, part)]:
            kinds = list(chosen)
        elif fields := [fields_of(spec)[part] for spec in specs if part in fields_of(spec)]:
            path.append(part)
            owners = tuple(specs)
            description = next((field.description for field in fields if field.description), "")
            kinds = [kind for field in fields for kind in members(field.annotation)]
        elif values := [item for kind in kinds for item in items_of(kind, _MAPPINGS, last=1)]:
            path.append(part)
            kinds, owners = values, ()
        elif specs and "[" not in part:
            path.append(part)
            kinds, owners = [], tuple(specs)
    return Place(path=tuple(path), owners=owners, kinds=tuple(kinds), description=description)


def members(annotation: Any) -> Iterator[Any]:
    """List the types that an annotation allows, without `Annotated` and unions around them."""
    if hasattr(annotation, "__value__"):
        annotation = annotation.__value__
    if get_origin(annotation) is Annotated:
        yield from members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from members(one)
    else:
        yield annotation


def items_of(kind: Any, containers: tuple[type, ...], *, last: int) -> list[Any]:
    """List the types inside a list or a mapping; `last` is the place of the item's type."""
    arguments = get_args(kind)
    if get_origin(kind) not in containers or len(arguments) <= last:
        return []
    return list(members(arguments[last]))


def is_spec(kind: Any) -> bool:
    """Tell whether a type is a pydantic model."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def fields_of(spec: type[BaseModel]) -> dict[str, FieldInfo]:
    """List a spec's fields by the words that are written for them."""
    return {field.alias or name: field for name, field in spec.model_fields.items()}


def is_tagged(spec: type[BaseModel], tag: str) -> bool:
    """Tell whether pydantic calls this member of a union by that word."""
    if spec.__name__ == tag:
        return True
    return any(tag in tags_of(spec, word) for word in spec.model_fields)


def tags_of(spec: type[BaseModel], word: str) -> tuple[str, ...]:
    """List the words that a field allows, when it allows nothing else."""
    kind = spec.model_fields[word].annotation if word in spec.model_fields else None
    return get_args(kind) if get_origin(kind) is Literal else ()


def write_path(path: Location) -> str:
    """Write a path as `evaluate.gates[0].metric`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def join_path(name: str, problem: str) -> str:
    """Put the model's name before a mistake's path."""
    if not name:
        return problem
    return f"{name}.{problem}" if re.match(r"^[\w.\[\]]+: ", problem) else f"{name}: {problem}"


def show(value: object) -> str:
    """Show what stood there: short, and never a password."""
    text = repr(value if not isinstance(value, timedelta) else str(value))
    text = _PASSWORD.sub(r"\1:***@", text)
    return text if len(text) <= 80 else f"{text[:77]}..."


def quoted(text: object) -> list[str]:
    """List the words in single quotes of one of pydantic's messages."""
    return re.findall(r"'([^']*)'", str(text or ""))
