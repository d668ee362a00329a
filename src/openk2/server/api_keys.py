"""`KeyGuard`: middleware that answers 401 without an API key."""

from collections.abc import Collection
from hashlib import sha256
from hmac import compare_digest

from starlette.types import ASGIApp, Receive, Scope, Send

from openk2.server.errors import ApiError

OPEN_PATHS = ("/health",)


class KeyGuard:
    """Answers 401 to requests without one of `keys`, /health excepted.

    A key comes as a bearer token, or in `x-api-key`, where Anthropic's clients put it. The guard
    runs before anything reads the request.
    """

    def __init__(self, app: ASGIApp, keys: Collection[str]) -> None:
        self.app = app
        # Digests have one length, so that a comparison's time reveals nothing about the key.
        self.digests = [sha256(key.encode()).digest() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self.allows(scope):
            await self.app(scope, receive, send)
            return
        message = (
            "the API key is missing or wrong: send it as `Authorization: Bearer KEY` "
            "or `x-api-key: KEY`"
        )
        error = ApiError(401, message, code="invalid_api_key")
        response = error.response(scope["path"], {"WWW-Authenticate": "Bearer"})
        await response(scope, receive, send)

    def allows(self, scope: Scope) -> bool:
        """Whether the request carries a key."""
        headers = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        bearer = token if scheme.lower() == b"bearer" else b""
        given = (bearer.strip(), headers.get(b"x-api-key", b"").strip())
        digests = [sha256(key).digest() for key in given if key]
        # Compare with every key, so that the time does not reveal which one matched.
        matches = [compare_digest(one, known) for one in digests for known in self.digests]
        return any(matches)
