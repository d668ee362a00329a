"""`create_app`: the ASGI application over one ChatGenerator."""

from collections.abc import Callable, Mapping

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from openk2.generation import ChatGenerator
from openk2.server.errors import answer_errors
from openk2.server.limits import BodyLimit
from openk2.server.metrics import EngineGauges, MeteredChat
from openk2.server.openai import chat_routes

MAX_BODY_BYTES = 32 * 1024 * 1024  # a full context of 131,072 tokens is some 0.5 MB of text


def create_app(
    chat: ChatGenerator,
    *,
    model: str,
    engine_stats: Callable[[], Mapping[str, float]] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """The server's application.

    model: the name that clients ask for. engine_stats: numbers for /metrics, by name.
    max_body_bytes: larger requests get a 413.
    """
    app = FastAPI(title="openk2", docs_url=None, redoc_url=None)
    registry = CollectorRegistry()
    if engine_stats is not None:
        registry.register(EngineGauges(engine_stats))
    app.include_router(chat_routes(MeteredChat(chat, registry), model))
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    answer_errors(app)

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
