"""`KeyGuard`: middleware that answers 401 without an API key; and whose request one is."""

from collections.abc import Collection
from hashlib import sha256
from hmac import compare_digest

from starlette.types import ASGIApp, Receive, Scope, Send

from openk2.server.errors import ApiError

OPEN_PATHS = ("/health",)
TENANT = "openk2.tenant"  # in a request's scope: of the key that let it in


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
        """Whether the request carries a key; its tenant is then that of the key."""
        digests = [sha256(key).digest() for key in given_keys(scope)]
        # Compare with every key, so that the time does not reveal which one matched.
        matches = [one for one in digests for known in self.digests if compare_digest(one, known)]
        if matches:
            scope[TENANT] = tenant_name(matches[0])
        return bool(matches)


def given_keys(scope: Scope) -> list[bytes]:
    """The keys that a request carries, wherever clients put them."""
    headers = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    bearer = token if scheme.lower() == b"bearer" else b""
    given = (bearer.strip(), headers.get(b"x-api-key", b"").strip())
    return [key for key in given if key]


def tenant_of(scope: Scope) -> str:
    """Whose request it is: of the key that let it in, or, where none is needed, of the first one
    that it carries; empty without any."""
    if TENANT in scope:
        return str(scope[TENANT])
    keys = given_keys(scope)
    return tenant_name(sha256(keys[0]).digest()) if keys else ""


def tenant_name(key_digest: bytes) -> str:
    """A name that says nothing about the key, for what is kept on disk."""
    return sha256(b"openk2 tenant\0" + key_digest).hexdigest()[:32]
