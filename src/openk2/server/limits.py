"""`BodyLimit`: a request's body is bounded before anything holds it."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


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
