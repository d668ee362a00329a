"""`KeyGuard`: only clients that know a key."""

from collections.abc import Collection
from hashlib import sha256
from hmac import compare_digest

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from openk2.server.errors import ApiError

OPEN_PATHS = ("/health",)


class KeyGuard:
    """Answers 401 to requests without one of `keys` as their bearer token, /health excepted.

    It stands before everything that reads the request.
    """

    def __init__(self, app: ASGIApp, keys: Collection[str]) -> None:
        self.app = app
        # Of one length whatever the key, so that a comparison's time says nothing about it.
        self.digests = [sha256(key.encode()).digest() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self.allows(scope):
            await self.app(scope, receive, send)
            return
        message = "the API key is missing or wrong: send it as `Authorization: Bearer KEY`"
        error = ApiError(401, message, code="invalid_api_key")
        response = JSONResponse(error.body(), 401, {"WWW-Authenticate": "Bearer"})
        await response(scope, receive, send)

    def allows(self, scope: Scope) -> bool:
        """Whether the request carries a key."""
        header: bytes = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, key = header.partition(b" ")
        digest = sha256(key.strip()).digest()
        # All of them are compared, so that the time does not tell which one it is.
        matches = [compare_digest(digest, known) for known in self.digests]
        return scheme.lower() == b"bearer" and any(matches)
