"""`BoundedRoute`: a route whose body is held against the limits before pydantic reads it."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from openk2.server.bounded_body import check_body, read_json
from openk2.server.stream import CLIENT_LEFT


class BoundedRequest(Request):
    """A request that reads its JSON once, by `read_json`."""

    async def json(self) -> Any:
        """See starlette."""
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


class BoundedRoute(APIRoute):
    """Raises ApiError 400 for a body beyond a limit."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See fastapi."""
        handle = super().get_route_handler()

        async def handle_bounded(request: Request) -> Response:
            bounded = BoundedRequest(request.scope, request.receive)
            try:
                check_body(await bounded.json())
            except json.JSONDecodeError:
                pass  # the handler says where
            except ClientDisconnect:
                return Response(status_code=CLIENT_LEFT)
            return await handle(bounded)

        return handle_bounded
