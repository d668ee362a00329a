"""What stands before the routes: who may ask, how much they may send, and in what time."""

import asyncio
import re
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openk2.protocol import EngineBusyError
from openk2.server.errors import RETRY_AFTER_SECONDS, ApiError
from openk2.server.limits import BODY_SECONDS, MAX_HELD_BYTES

PAGE = re.compile(r"https?://(\[[^]]*\]|[^:/]*)")
HOST = re.compile(r"(\[[^]]*\]|[^:]*)(:\d*)?")
THIS_MACHINE = re.compile(r"localhost|[^.]+\.localhost|127(\.\d{1,3}){3}|\[::1\]")


class LoopbackGuard:
    """Answers 403 to web pages that are not of this machine, on every path.

    A page whose host name is made to mean 127.0.0.1 (DNS rebinding) is, to the browser, of this
    server's own origin, and no rule about other origins stops it. Browsers name the page in
    `Origin`, but not in a GET of its own origin; the name in `Host` they always send. Programs of
    this machine ask for this machine.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        error = None if scope["type"] != "http" else refusal_of(Headers(scope=scope))
        if error is None:
            await self.app(scope, receive, send)
        else:
            await error.response(scope["path"], {})(scope, receive, send)


def refusal_of(headers: Headers) -> ApiError | None:
    """The 403 of a request of another machine's page; None if it may pass."""
    page = PAGE.match(headers.get("origin", ""))
    if page and not THIS_MACHINE.fullmatch(page[1].lower()):
        message = f"web pages of {page[1]!r} may not use this server: it is for this machine only"
        return ApiError(403, message, code="forbidden_origin")
    host = headers.get("host")
    name = None if host is None else HOST.fullmatch(host)
    if host is not None and not (name and THIS_MACHINE.fullmatch(name[1].lower())):
        message = f"this server is for this machine only, and {host[:100]!r} is no name of it: "
        return ApiError(403, f"{message}ask for 127.0.0.1", code="forbidden_host")
    return None


class BodyLimit:
    """Refuses bodies of more than `max_bytes`, declared or chunked, with 413, and bodies that take
    longer than `seconds` with 408.

    The bodies of all requests in progress are `most_held` bytes together, or four of the largest if
    that is more; what comes beyond it is told to come again (EngineBusyError).
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        seconds: float = BODY_SECONDS,
        most_held: int = MAX_HELD_BYTES,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.seconds = seconds
        self.most_held = max(most_held, 4 * max_bytes)
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(scope)
        try:
            await self.app(scope, self.limited(body, receive), send)
        finally:
            self.held -= body.size

    def limited(self, body: "_Body", receive: Receive) -> Receive:
        """`receive` that raises its errors where the body is read, not before."""
        whole = False
        end = time.monotonic() + self.seconds

        async def receive_limited() -> Message:
            nonlocal whole
            if body.declared > self.max_bytes:
                raise self.too_large(f"{body.declared}")
            if whole:  # what comes now is that the client left
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), end - time.monotonic())
            except TimeoutError as error:
                problem = f"the body did not arrive within {self.seconds:g} seconds"
                raise HTTPException(408, problem, {"Connection": "close"}) from error
            came = len(message.get("body", b""))
            body.size += came
            self.held += came
            whole = not message.get("more_body", False)
            if body.size > self.max_bytes:
                raise self.too_large(f"at least {body.size}")
            if self.held > self.most_held:
                raise EngineBusyError("other requests take the memory for bodies: ask again later")
            return message

        return receive_limited

    def too_large(self, size: str) -> HTTPException:
        """The refusal."""
        problem = f"the body has {size} bytes and {self.max_bytes} are possible"
        remedy = "remove images from the conversation, or start the server with --max-body"
        return HTTPException(413, f"{problem}: {remedy}")


class _Body:
    """declared: bytes according to the headers. size: bytes that have come."""

    def __init__(self, scope: Scope) -> None:
        self.declared = int(dict(scope["headers"]).get(b"content-length", b"0"))
        self.size = 0


class DrainGuard:
    """Counts the requests being answered; once `drain` was called, new ones get 503."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.draining = False
        self.answering = 0

    def drain(self) -> None:
        """Refuse new requests from now on."""
        self.draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "http" and self.draining:
            message = "the server is stopping: ask another one, or again when it has started"
            error = ApiError(503, message, code="server_stopping", kind="server_error")
            headers = {"Connection": "close", "Retry-After": str(RETRY_AFTER_SECONDS)}
            await error.response(scope["path"], headers)(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.answering += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.answering -= 1
