"""Requests that are refused unread: bodies over the limit, and web pages of other hosts."""

import re

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openk2.server.errors import ApiError

PAGE = re.compile(r"https?://(\[[^]]*\]|[^:/]*)")
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


def refuse_pages_of_others(request: Request) -> None:
    """Raise ApiError 403 for a request from a web page that is not of this machine.

    A page whose host name is made to resolve to 127.0.0.1 (DNS rebinding) has this server's origin
    to the browser, so rules about other origins do not stop it. Browsers name the page's host in
    `Origin`; programs send no such header.
    """
    page = PAGE.match(request.headers.get("origin", ""))
    if page and page[1] not in THIS_MACHINE:
        message = f"web pages of {page[1]!r} may not use this server: it is for this machine only"
        raise ApiError(403, message, code="forbidden_origin")


class BodyLimit:
    """Refuses bodies of more than `max_bytes`, declared or chunked, with 413."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await self.app(scope, self.limited(scope, receive), send)

    def limited(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` that raises HTTPException 413 where the body is read, not before."""
        size = 0
        declared = int(dict(scope["headers"]).get(b"content-length", b"0"))

        async def receive_limited() -> Message:
            nonlocal size
            if declared > self.max_bytes:
                raise self.too_large()
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.max_bytes:
                raise self.too_large()
            return message

        return receive_limited

    def too_large(self) -> HTTPException:
        """The refusal."""
        return HTTPException(413, f"the body is larger than {self.max_bytes} bytes")
