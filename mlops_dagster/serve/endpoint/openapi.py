"""The endpoint's own description, with the columns of the version that answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_dagster.scoring.example import read_example
from mlops_dagster.scoring.questions import InputSchema, Kind
from mlops_dagster.serve.endpoint.feedback import ID_PATTERN
from mlops_dagster.serve.endpoint.live_model import LiveModel
from mlops_dagster.serve.spec import EndpointSpec

_TYPES: Mapping[Kind, Mapping[str, Any]] = {
    "number": {"type": ["number", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
    "boolean": {"type": ["boolean", "null"]},
    "text": {"type": ["string", "null"]},
}
_ERROR = {"$ref": "#/components/schemas/Error"}
_REFUSALS = {
    "400": "The body cannot be read.",
    "401": "A bearer token is needed.",
    "408": "The body did not arrive in time.",
    "413": "Too many bytes or rows.",
    "415": "Neither JSON nor CSV.",
    "422": "A row does not fit the model; the message names the column.",
    "429": "Too many rows wait; come back after Retry-After seconds.",
    "503": "No answer now: the log cannot be written, or nothing is live.",
}


def describe(live: LiveModel, settings: EndpointSpec, *, key: Sequence[str]) -> dict[str, Any]:
    """Describe the paths in OpenAPI 3.1."""
    champion = live.champion
    schema = champion.schema if champion else InputSchema({})
    example = list(read_example(champion.model.folder).inputs[:1]) if champion else []
    row = row_schema(schema, key=key)
    rows: dict[str, Any] = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
    rows |= {"maxItems": settings.request_rows}
    answer = {"type": "object", "additionalProperties": True}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": live.name,
            "version": champion.version if champion else "0",
            "description": "Ask the version that is live. Every answer is kept before it is given.",
        },
        "paths": {
            "/predict": _post(
                "Answer rows, each with its prediction id.",
                _object({"rows": rows}),
                _object(
                    {
                        "request_id": {"type": "string"},
                        "version": {"type": "string"},
                        "predictions": {"type": "array", "items": answer},
                    }
                ),
                example={"rows": example},
            ),
            "/invocations": _post(
                "Answer as `mlflow models serve` does.",
                _object({"dataframe_records": {"type": "array", "items": {"type": "object"}}}),
                _object({"predictions": {"type": "array", "items": answer}}),
                example={"dataframe_records": example},
            ),
            "/feedback": _post(
                "Keep the truth about a past answer.",
                _object(
                    {
                        "prediction_id": {"type": "string", "pattern": f"^{ID_PATTERN}$"},
                        "value": {"type": ["string", "number", "boolean", "null"]},
                        "time": {"type": "string", "format": "date-time"},
                    },
                    needed=["prediction_id", "value"],
                ),
                _object({"kept": {"type": "integer"}}),
            ),
            "/version": _get("Which version answers.", {"200": "It."}),
            "/health": _get("Whether it can answer.", {"200": "It can.", "503": "It cannot."}),
            "/ping": _get("Whether it can answer.", {"200": "It can.", "503": "It cannot."}),
            "/metrics": _get("Counters for Prometheus.", {"200": "Text."}),
        },
        "components": {
            "schemas": {
                "Row": row,
                "Error": _object(
                    {
                        "error_code": {"type": "string"},
                        "message": {"type": "string"},
                        "request_id": {"type": "string"},
                    }
                ),
            }
        },
    }


def row_schema(schema: InputSchema, *, key: Sequence[str]) -> dict[str, Any]:
    """Describe one row: its columns, null where they are unknown, and those that it must have."""
    return {
        "type": "object",
        "properties": {name: dict(_TYPES[kind]) for name, kind in schema.kinds.items()},
        "required": schema.needed(key=key),
        "additionalProperties": True,
    }


def _object(
    properties: Mapping[str, Any], *, needed: Sequence[str] | None = None
) -> dict[str, Any]:
    required = list(properties) if needed is None else list(needed)
    return {"type": "object", "properties": dict(properties), "required": required}


def _post(
    summary: str, body: Mapping[str, Any], answer: Mapping[str, Any], *, example: Any = None
) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": body} | ({"example": example} if example else {})
    refusals = {
        status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in _REFUSALS.items()
    }
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {
                "200": {
                    "description": "The answer.",
                    "content": {"application/json": {"schema": answer}},
                }
            }
            | refusals,
        }
    }


def _get(summary: str, answers: Mapping[str, str]) -> dict[str, Any]:
    told = {status: {"description": text} for status, text in answers.items()}
    return {"get": {"summary": summary, "responses": told}}
