"""The JSON schema of the attributes, where a template may stand for any value."""

from typing import Any

TEMPLATE = {"type": "string", "pattern": r"\{\{.*\}\}", "description": "A template."}
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


def allow_templates(schema: dict[str, Any]) -> dict[str, Any]:
    """Widen every scalar of a schema, so that `{{ env.X }}` may stand there.

    A `const` is left alone: it is the `kind` that tells members of a union apart.
    """
    return {word: _widen_word(word, value) for word, value in schema.items()}


def _widen_word(word: str, value: Any) -> Any:
    match word:
        case "properties" | "$defs":
            return {name: _widen(one) for name, one in value.items()}
        case "items" | "additionalProperties":
            return _widen(value)
        case "anyOf" | "oneOf" | "allOf" | "prefixItems":
            return [_widen(one) for one in value]
        case _:
            return value


def _widen(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if "const" in node or (node.get("type") not in _SCALARS and "enum" not in node):
        return allow_templates(node)
    told = {word: node[word] for word in ("description", "default", "title") if word in node}
    return {**told, "anyOf": [node, TEMPLATE]}
