"""`create_app`: the ASGI application that serves one model."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from openk2.generation import ChatGenerator, CompletionGenerator, PromptCoder
from openk2.server.anthropic.messages import count_routes, message_routes
from openk2.server.api_keys import KeyGuard
from openk2.server.errors import ANSWERS, ApiError, answer_errors
from openk2.server.guards import BodyLimit, LoopbackGuard
from openk2.server.limits import MAX_BODY_BYTES
from openk2.server.metrics import EngineGauges, Meter, MeteredChat, MeteredCompletion
from openk2.server.openai.chat import chat_routes
from openk2.server.openai.completions import completion_routes
from openk2.server.openai.tokenization import token_routes
from openk2.server.refusals import refused_routes
from openk2.server.served import ServedNames, model_routes
from openk2.server.thoughts import ThoughtSigner


def create_app(
    chat: ChatGenerator,
    *,
    model: str,
    completion: CompletionGenerator | None = None,
    coder: PromptCoder | None = None,
    aliases: Sequence[str] = (),
    api_keys: Collection[str] = (),
    engine_stats: Callable[[], Mapping[str, float]] | None = None,
    healthy: Callable[[], bool] = lambda: True,
    loopback: bool = False,
    max_body_bytes: int = MAX_BODY_BYTES,
    thinking_key: bytes | None = None,
    running: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> FastAPI:
    """The server's application.

    model: the name that clients request; aliases: other names for it.
    completion: for /v1/completions. coder: for /tokenize, /detokenize, /tokenizer_info and for
        counting tokens of messages. Without them these routes do not exist.
    api_keys: clients need one of them, except for /health; if empty, none is needed.
    engine_stats: numbers for /metrics, by name.
    healthy: whether requests can be answered; /health is 503 if not.
    loopback: the server is for this machine only, so web pages of other hosts are refused, and
        host names that are not this machine's.
    max_body_bytes: larger requests get a 413.
    thinking_key: signs the thoughts of Anthropic's messages; a random one ends with the process.
    running: a context around the time in which requests are answered, on their event loop.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running():
            yield

    app = FastAPI(title="openk2", docs_url=None, redoc_url=None, lifespan=lifespan)
    registry = CollectorRegistry()
    if engine_stats is not None:
        registry.register(EngineGauges(engine_stats))
    context_length = None if coder is None else coder.context_length
    signer = ThoughtSigner(thinking_key)
    meter, names = Meter(registry), ServedNames(model, aliases, context_length)
    repeated = meter.repetitions.inc
    app.include_router(model_routes(names))
    app.include_router(chat_routes(MeteredChat(chat, meter), names, repeated))
    app.include_router(message_routes(MeteredChat(chat, meter), names, signer, repeated))
    app.include_router(refused_routes())
    if completion is not None:
        app.include_router(completion_routes(MeteredCompletion(completion, meter), names))
    if coder is not None:
        app.include_router(token_routes(coder, names))
        app.include_router(count_routes(coder, names, signer))
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    if api_keys:
        app.add_middleware(KeyGuard, keys=api_keys)
    if loopback:
        app.add_middleware(LoopbackGuard)  # the last one added is the outermost
    answer_errors(app)

    @app.get("/health", responses=ANSWERS)
    async def health() -> JSONResponse:
        if not healthy():
            message = "the engine has stopped; the server's log says why"
            raise ApiError(503, message, code="engine_stopped", kind="server_error")
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
