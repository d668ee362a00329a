"""Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.

On the Messages routes in Anthropic's: {"type": "error", "error": {"type", "message"}}.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from openk2.chat import RenderError
from openk2.gateway import UpstreamError
from openk2.generation import ContextLengthError, RequestError
from openk2.protocol import EngineBusyError, EngineError

RETRY_AFTER_SECONDS = 1
MAX_RETRY_AFTER = 60  # seconds, whatever an upstream says

logger = logging.getLogger(__name__)


class ErrorResponse(JSONResponse):
    """JSON in ASCII: an error may name a field that holds half a character, which no UTF-8 does."""

    def render(self, content: Any) -> bytes:
        """See starlette."""
        return json.dumps(content).encode()


class ErrorDetail(BaseModel):
    """What went wrong. param: the request's field; code: for programs to match."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every error's body."""

    error: ErrorDetail


class MessageErrorDetail(BaseModel):
    """What went wrong, as Anthropic's clients read it."""

    type: str
    message: str


class MessageErrorBody(BaseModel):
    """An error's body on the Messages routes."""

    type: Literal["error"]
    error: MessageErrorDetail


def described(body: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Answers with this body, for the OpenAPI document."""
    return {
        "4XX": {"model": body, "description": "The request cannot be answered as it is."},
        "5XX": {"model": body, "description": "The server cannot answer now."},
    }


ANSWERS = described(ErrorBody)
MESSAGE_ANSWERS = described(MessageErrorBody)

MESSAGES_PATH = "/v1/messages"
OVERLOADED = 529  # Anthropic's status for what is 503 elsewhere
MESSAGE_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class ApiError(Exception):
    """An error as the client sees it. param: the request's field; code: for programs to match.

    details: what Anthropic's clients match, on the Messages routes.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.kind = kind
        self.details = details

    def body(self) -> dict[str, Any]:
        """The JSON object of the response."""
        return {
            "error": {
                "message": str(self),
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def message_body(self) -> dict[str, Any]:
        """The JSON object of the response on the Messages routes."""
        default = "invalid_request_error" if self.status < 500 else "api_error"
        kind = MESSAGE_KINDS.get(self.status, default)
        details = {} if self.details is None else {"details": dict(self.details)}
        return {"type": "error", "error": {"type": kind, "message": str(self), **details}}

    def response(self, path: str, headers: Mapping[str, str]) -> JSONResponse:
        """The error as a route at this path answers it."""
        if path != MESSAGES_PATH and not path.startswith(f"{MESSAGES_PATH}/"):
            return ErrorResponse(self.body(), self.status, headers)
        status = OVERLOADED if self.status == 503 else self.status
        return ErrorResponse(self.message_body(), status, headers)


def as_api_error(error: Exception) -> ApiError:
    """The error that the client sees. An unexpected one is a plain 500; the log has the details."""
    match error:
        case ApiError():
            return error
        case RenderError():
            return ApiError(400, str(error), param=error.param, code="invalid_value")
        case ContextLengthError():
            return ApiError(400, str(error), param=error.param, code="context_length_exceeded")
        case RequestError():
            return ApiError(400, str(error), param=error.param, code="invalid_value")
        case EngineBusyError():
            return ApiError(503, str(error), code="engine_busy", kind="server_error")
        case UpstreamError():
            return ApiError(502, str(error), code="upstream_failed", kind="server_error")
        case EngineError():
            # What failed, without the words of whatever raised it.
            message = f"{str(error).partition(':')[0]}; the server's log says why"
            return ApiError(500, message, code="engine_failed", kind="server_error")
        case RequestValidationError():
            return validation_error(error)
        case HTTPException():
            return ApiError(error.status_code, str(error.detail), code=CODES.get(error.status_code))
        case _:
            message = "the server failed while answering; its log says why"
            return ApiError(500, message, code="internal_error", kind="server_error")


CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


def validation_error(error: RequestValidationError) -> ApiError:
    """The first thing wrong with the body, named by its path."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not valid JSON: {first['ctx']['error']}")
    place = first["loc"][1:]
    if not place:
        return ApiError(400, "the body must be a JSON object, sent as application/json")
    param = field_path(place)
    return ApiError(400, f"{param}: {first['msg']}", param=param, code="invalid_value")


def field_path(place: Sequence[str | int]) -> str:
    """("tools", 0, "function") -> "tools[0].function"."""
    # pydantic writes "[key]" for "the key, not its value".
    named = [step for step in place if step != "[key]"]
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in named)
    return "".join(steps).removeprefix(".")


async def error_response(request: Request, error: Exception) -> JSONResponse:
    """Answer any exception. Unexpected ones are logged by the server that runs the app."""
    shown = as_api_error(error)
    if shown.code == "engine_failed":
        logger.error("a request failed", exc_info=error)
    headers = dict(getattr(error, "headers", None) or {})
    if shown.status == 503:
        asked = error.retry_after if isinstance(error, EngineBusyError) else None
        headers["Retry-After"] = str(
            RETRY_AFTER_SECONDS if asked is None else min(math.ceil(asked), MAX_RETRY_AFTER)
        )
    return shown.response(request.url.path, headers)


def error_event(error: Exception) -> bytes:
    """The error as a server-sent event, for an answer that has already started."""
    return f"data: {json.dumps(as_api_error(error).body())}\n\n".encode()


def answer_errors(app: FastAPI) -> None:
    """Answer every error of the app in the shape of its route."""
    for kind in (
        ApiError,
        RenderError,
        RequestError,
        EngineBusyError,
        EngineError,
        RequestValidationError,
        HTTPException,
        Exception,
    ):
        app.add_exception_handler(kind, error_response)
