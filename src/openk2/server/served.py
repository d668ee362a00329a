"""`ServedNames`: the names under which the one model answers, and /v1/models."""

import reprlib
import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from openk2.server.errors import ANSWERS, ApiError


class ServedNames:
    """name: the model's own. aliases: others that mean it too. context_length: if it is known."""

    def __init__(
        self, name: str, aliases: Sequence[str] = (), context_length: int | None = None
    ) -> None:
        self.names = tuple(dict.fromkeys([name, *aliases]))
        self._context_length = context_length
        self._created = int(time.time())

    def check(self, name: str) -> None:
        """Raise ApiError 404 for a name that is not served."""
        if name not in self.names:
            served = ", ".join(map(repr, self.names))
            message = f"the model {reprlib.repr(name)} does not exist: this server has {served}"
            raise ApiError(404, message, param="model", code="model_not_found")

    def card(self, name: str) -> dict[str, Any]:
        """OpenAI's description of a model, with vLLM's names for its context and for what an alias
        stands for."""
        card = {"id": name, "object": "model", "created": self._created, "owned_by": "openk2"}
        card["root"] = self.names[0]
        if self._context_length is None:
            return card
        return {**card, "max_model_len": self._context_length}


def model_routes(names: ServedNames) -> APIRouter:
    """The routes that list models."""
    router = APIRouter(prefix="/v1/models", responses=ANSWERS)

    @router.get("")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [names.card(name) for name in names.names]}

    @router.get("/{name:path}")
    async def retrieve_model(name: str) -> dict[str, Any]:
        names.check(name)
        return names.card(name)

    return router
