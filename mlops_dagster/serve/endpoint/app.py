"""The endpoint's routes: bodies in, answers out, every error with its way out."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from mlops_dagster.clock import wall_now
from mlops_dagster.errors import DataNotFitError, MlopsError, StoreError
from mlops_dagster.scoring.questions import Question
from mlops_dagster.serve.endpoint import payload
from mlops_dagster.serve.endpoint.answering import Answered, Asked, new_id
from mlops_dagster.serve.endpoint.batching import QueueFullError
from mlops_dagster.serve.endpoint.feedback import read_feedback
from mlops_dagster.serve.endpoint.metrics import CONTENT_TYPE, Seen
from mlops_dagster.serve.endpoint.openapi import describe
from mlops_dagster.serve.endpoint.page import draw_page, traffic
from mlops_dagster.serve.endpoint.worker import Worker

OPEN_PATHS = frozenset({"/ping", "/health"})
CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "DATA_DOES_NOT_FIT",
    429: "RESOURCE_EXHAUSTED",
    503: "TEMPORARILY_UNAVAILABLE",
}
_SOON = {"Retry-After": "1"}
_MEDIA = {"application/json", "text/csv", ""}


@dataclass(frozen=True, slots=True)
class _Read:
    question: Question
    asked: Asked


def build_app(worker: Worker, *, token: str = "") -> Starlette:
    """Build the application around a worker. With a token, all but `/ping` and `/health` need it."""
    routes = Routes(worker)
    listed: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("/", "GET", routes.page),
        ("/ping", "GET", routes.health),
        ("/health", "GET", routes.health),
        ("/version", "GET", routes.version),
        ("/invocations", "POST", routes.invocations),
        ("/predict", "POST", routes.predict),
        ("/feedback", "POST", routes.feedback),
        ("/-/reload", "POST", routes.reload),
        ("/-/traffic", "GET", routes.traffic),
        ("/metrics", "GET", routes.metrics),
        ("/openapi.json", "GET", routes.openapi),
    ]
    return Starlette(
        routes=[
            Route(path, _guarded(path, handler, worker, token=token), methods=[method])
            for path, method, handler in listed
        ],
        exception_handlers={HTTPException: _other},
        lifespan=worker.lifespan,
    )


def _guarded(
    path: str, handler: Callable[[Request], Awaitable[Response]], worker: Worker, *, token: str
) -> Callable[[Request], Awaitable[Response]]:
    async def guard(request: Request) -> Response:
        began = time.monotonic()
        request.state.id = new_id(wall_now())
        try:
            if token and path not in OPEN_PATHS and not _knows(request, token):
                response = refusal(request, 401, "A bearer token is needed.")
                response.headers["WWW-Authenticate"] = "Bearer"
            else:
                response = await handler(request)
        except RefusedError as refused:
            response = refused.response(request)
        version = response.headers.get("X-Model-Version", "")
        worker.metrics.request(
            Seen(
                at=began,
                seconds=time.monotonic() - began,
                status=response.status_code,
                rows=getattr(request.state, "rows", 0),
                version=version,
            ),
            path=path,
        )
        response.headers["X-Request-Id"] = request.state.id
        return response

    return guard


class RefusedError(Exception):
    """An answer that is an error: its status and the sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def response(self, request: Request) -> Response:
        """Write it."""
        response = refusal(request, self.status, str(self))
        if self.status in {429, 503}:
            response.headers.update(_SOON)
        return response


@dataclass(frozen=True, slots=True)
class Routes:
    """One function for each path."""

    worker: Worker

    async def predict(self, request: Request) -> Response:
        """Answer rows, each with its prediction id."""
        answered = await self._ask(request, lambda body, _: payload.prediction(body))
        told = [
            {"id": name} | row for name, row in zip(answered.ids(), answered.records(), strict=True)
        ]
        content = {
            "request_id": answered.id,
            "version": answered.version,
            "predictions": told,
        }
        return JSONResponse(content, headers={"X-Model-Version": answered.version})

    async def invocations(self, request: Request) -> Response:
        """Answer as `mlflow models serve` does."""
        answered = await self._ask(request, payload.invocation)
        headers = {"X-Model-Version": answered.version}
        return JSONResponse({"predictions": answered.records()}, headers=headers)

    async def feedback(self, request: Request) -> Response:
        """Keep the truth about past answers."""
        body, _ = await self._body(request)
        try:
            given = payload.read_json(body)
        except DataNotFitError as error:
            raise RefusedError(400, str(error)) from error
        try:
            told = read_feedback(given, request=request.state.id)
        except DataNotFitError as error:
            raise RefusedError(422, str(error)) from error
        try:
            await asyncio.to_thread(self.worker.keep, told)
        except StoreError as error:
            raise RefusedError(503, str(error)) from error
        return JSONResponse({"kept": len(told)})

    async def health(self, request: Request) -> Response:  # noqa: ARG002 - starlette's signature
        """Tell whether it can answer now."""
        state = self.worker.state()
        return JSONResponse(state, status_code=200 if state["status"] == "ok" else 503)

    async def version(self, request: Request) -> Response:  # noqa: ARG002
        """Tell which version answers."""
        return JSONResponse(self.worker.versions())

    async def reload(self, request: Request) -> Response:  # noqa: ARG002
        """Look at the registry now."""
        await asyncio.to_thread(self.worker.look, again=True)
        return JSONResponse(self.worker.versions())

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Give the counters to Prometheus."""
        return Response(self.worker.metrics_text(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:  # noqa: ARG002
        """Describe the paths, with the model's own columns."""
        return JSONResponse(describe(self.worker.live, self.worker.settings, key=self.worker.key))

    async def page(self, request: Request) -> Response:  # noqa: ARG002
        """Show the version, a form and the last minutes."""
        return HTMLResponse(draw_page(self.worker.live))

    async def traffic(self, request: Request) -> Response:  # noqa: ARG002
        """Give the last minutes to the page."""
        return JSONResponse(traffic(self.worker.metrics.recent, now=time.monotonic()))

    async def _ask(self, request: Request, read: Callable[[bytes, str], Question]) -> Answered:
        body, media = await self._body(request)
        settings = self.worker.settings
        try:
            question = read(body, media)
        except DataNotFitError as error:
            raise RefusedError(400, str(error)) from error
        request.state.rows = len(question.rows)
        if len(question.rows) > settings.request_rows:
            message = (
                f"{len(question.rows)} rows in one request; at most {settings.request_rows} are "
                "answered. Send them in parts, or use the batch job."
            )
            raise RefusedError(413, message)
        asked = Asked(
            id=request.state.id,
            question=question,
            came=time.monotonic(),
            caller_id=request.headers.get("X-Request-Id"),
        )
        return await self._answered(asked)

    async def _answered(self, asked: Asked) -> Answered:
        rows = len(asked.question.rows)
        try:
            async with asyncio.timeout(self.worker.settings.timeout.total_seconds()):
                return await self.worker.batcher.ask(asked, rows=rows)
        except QueueFullError as error:
            raise RefusedError(429, "Too many rows wait already. Come back soon.") from error
        except TimeoutError as error:
            raise RefusedError(503, "No answer in time. Come back soon.") from error
        except DataNotFitError as error:
            raise RefusedError(422, str(error)) from error
        except MlopsError as error:
            raise RefusedError(503, str(error)) from error

    async def _body(self, request: Request) -> tuple[bytes, str]:
        limit = self.worker.settings.body_bytes
        media = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media not in _MEDIA:
            raise RefusedError(
                415, f"Content-Type {media[:60]!r}: send application/json or text/csv."
            )
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.worker.settings.timeout.total_seconds()):
                async for part in request.stream():
                    size += len(part)
                    if size > limit:
                        raise RefusedError(413, f"The body is larger than {limit} bytes.")
                    parts.append(part)
        except TimeoutError as error:
            raise RefusedError(408, "The body did not arrive in time.") from error
        except ClientDisconnect as error:
            raise RefusedError(400, "The body ended early.") from error
        return b"".join(parts), media


def refusal(request: Request, status: int, message: str) -> Response:
    """Write an error as MLflow's clients read it."""
    content: dict[str, Any] = {
        "error_code": CODES.get(status, "ERROR"),
        "message": message,
        "request_id": getattr(request.state, "id", ""),
    }
    return JSONResponse(content, status_code=status)


async def _other(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    known = (
        "GET / /ping /health /version /metrics /openapi.json; POST /predict /invocations /feedback"
    )
    response = refusal(request, status, f"{request.method} {request.url.path}: there is {known}")
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def _knows(request: Request, token: str) -> bool:
    given = request.headers.get("Authorization", "").encode(errors="replace")
    return hmac.compare_digest(given, f"Bearer {token}".encode())
