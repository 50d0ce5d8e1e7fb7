"""Whatever is sent, by the endpoint's own description or against it, is answered or refused: no 5xx."""

import json
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from mlops_dagster.serve.endpoint.app import build_app
from mlops_dagster.serve.endpoint.prediction_log import (
    seal_what_was_left,
    sealed_segments,
)

BOUNDED = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HUGE = "1e999"
TEXT = st.text(max_size=12) | st.sampled_from(
    ["\ud800", "\x00", "nan", HUGE, "0" * 32, "2026-13-45", "9" * 400]
)
NUMBER = st.one_of(
    st.floats(), st.integers(), st.sampled_from([10**400, -(10**400), 1e308, 5e-324, -0.0, 2**63])
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
TIME = st.datetimes(timezones=st.timezones()).map(lambda one: one.isoformat()) | st.sampled_from(
    ["0001-01-01", "9999-12-31T23:59:59Z", "2026-02-30", "2026-W07", "1677-09-21T00:12:43Z"]
)
KINDS = {
    "null": st.none(),
    "number": NUMBER,
    "integer": st.integers(),
    "boolean": st.booleans(),
    "string": TEXT,
}


def values_of(schema: dict, described: dict) -> st.SearchStrategy:
    """What fits a schema of the description, and now and then what does not."""
    if "$ref" in schema:
        named = described
        for part in schema["$ref"].removeprefix("#/").split("/"):
            named = named[part]
        return values_of(named, described)
    kinds = schema.get("type", "object")
    if kinds == "array":
        fits = st.lists(values_of(schema["items"], described), max_size=4)
    elif kinds == "object":
        known = {
            name: values_of(one, described) for name, one in schema.get("properties", {}).items()
        }
        if schema.get("additionalProperties"):
            known["id"] = ANYTHING
        needed = set(schema.get("required", ()))
        fits = st.fixed_dictionaries(
            {name: one for name, one in known.items() if name in needed},
            optional={name: one for name, one in known.items() if name not in needed},
        )
    elif "pattern" in schema:
        fits = st.from_regex(schema["pattern"], alphabet=st.characters(codec="ascii"))
    elif schema.get("format") == "date-time":
        fits = TIME | st.none()
    else:
        fits = st.one_of([KINDS[one] for one in ([kinds] if isinstance(kinds, str) else kinds)])
    return st.integers(0, 9).flatmap(lambda die: ANYTHING if die == 9 else fits)


@pytest.fixture
def client(serving):
    worker = serving(body_bytes=20_000, request_rows=50, shadow=True)
    with TestClient(build_app(worker), raise_server_exceptions=False) as made:
        made.folder = worker.folder
        yield made


def posted(client) -> dict[str, dict]:
    described = client.get("/openapi.json").json()
    return {
        path: values_of(
            one["post"]["requestBody"]["content"]["application/json"]["schema"], described
        )
        for path, one in described["paths"].items()
        if "post" in one
    }


def written(body) -> str:
    """JSON, with a number that no double holds where its text stood."""
    return json.dumps(body).replace(f'"{HUGE}"', HUGE)


def expect_no_5xx(client, method: str, path: str, **request) -> int:
    told = client.request(method, path, **request)
    assert told.status_code < 500, (told.status_code, told.text, path, request)
    assert "Traceback" not in told.text
    if told.text and told.headers["Content-Type"].startswith("application/json"):
        json.loads(told.text, parse_constant=pytest.fail)
    return told.status_code


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/feedback"])
def test_bodies_by_the_description_are_answered_or_refused(client, path):
    bodies, seen = posted(client)[path], set()

    @BOUNDED
    @given(body=bodies)
    def check(body):
        seen.add(expect_no_5xx(client, "POST", path, content=written(body)))

    check()
    assert {200, 422} <= seen
    seal_what_was_left(client.folder)
    for segment in sealed_segments(client.folder):
        for line in segment.read_text().splitlines():
            assert json.loads(line, parse_constant=pytest.fail)


FORMATS = st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"])
SPLIT = st.fixed_dictionaries(
    {
        "columns": st.lists(st.sampled_from(["seen", "size"]) | TEXT | ANYTHING, max_size=3),
        "data": ANYTHING,
    }
)
TABLES = ANYTHING | SPLIT | st.lists(st.lists(ANYTHING, min_size=2, max_size=2), max_size=3)
COLUMNS = st.dictionaries(
    st.sampled_from(["seen", "size"]), ANYTHING | st.lists(ANYTHING), max_size=2
)


def test_every_format_of_mlflow_is_answered_or_refused(client):
    @BOUNDED
    @given(name=FORMATS, table=TABLES | COLUMNS, more=st.dictionaries(TEXT, ANYTHING, max_size=1))
    def check(name, table, more):
        body = written({name: table, **more})
        seen.add(expect_no_5xx(client, "POST", "/invocations", content=body))

    seen = set()
    check()
    assert {200, 400, 422} <= seen


def test_bytes_that_are_no_body_are_refused(client):
    header = st.text(string.printable.strip(), max_size=20) | st.sampled_from(
        [
            "application/json",
            "text/csv",
            "application/json; charset=utf-16",
            "text/csv;x",
            "image/png",
        ]
    )
    deep = st.integers(1, 9_000).map(lambda depth: b"[" * depth + b"]" * depth)
    wide = st.integers(1, 40_000).map(lambda size: b'{"rows":[' + b"1," * size + b"1]}")
    other = ANYTHING.map(lambda one: json.dumps(one, ensure_ascii=False)).flatmap(
        lambda text: st.sampled_from(["utf-16", "utf-32", "utf-8"]).map(
            lambda name: text.encode(name, errors="surrogatepass")
        )
    )
    table = st.lists(st.lists(TEXT, max_size=3), max_size=4).map(
        lambda rows: "\n".join(",".join(row) for row in [["seen", "size"], *rows]).encode(
            errors="surrogatepass"
        )
    )

    @BOUNDED
    @given(
        path=st.sampled_from(["/predict", "/invocations", "/feedback", "/-/reload"]),
        content=st.binary(max_size=60) | deep | wide | other | table,
        media=header,
    )
    def check(path, content, media):
        expect_no_5xx(client, "POST", path, content=content, headers={"Content-Type": media})

    check()


def test_other_methods_and_paths_are_refused(client):
    paths = [*client.get("/openapi.json").json()["paths"], "/", "/-/traffic", "/openapi.json"]

    @BOUNDED
    @given(
        method=st.sampled_from(["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "POST"]),
        path=st.sampled_from(paths)
        | st.text(string.ascii_letters + "/.%-", max_size=9).map(lambda p: f"/{p}"),
        headers=st.dictionaries(
            st.sampled_from(["X-Request-Id", "Authorization", "Accept", "Content-Length"]),
            st.text(string.ascii_letters + string.digits, max_size=9),
        ),
    )
    def check(method, path, headers):
        expect_no_5xx(client, method, path, headers=headers)

    check()
