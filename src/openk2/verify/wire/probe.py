"""`Probe`: how a check sends requests to one model."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from openk2.chat import INSTRUCT, PromptStyle, Tokenizer
from openk2.verify.wire.endpoint import Endpoint, EndpointFault, Response, shown
from openk2.verify.wire.reply import Reply, read_stream, read_whole

JsonObject = Mapping[str, Any]
T = TypeVar("T")

CHAT = "/chat/completions"
DEFAULT_MAX_TOKENS = 256
# Engines that report what they computed in float32 and are batch-invariant, as ours, stay below
# 0.001; docs/design/verify.md says why others need 0.1.
TOLERANCE = 0.1
# Twice K2's original window of 4,096, from which on its rope is scaled, and cheap everywhere.
CONTEXT = 8192
BATCH = 16


@dataclass(frozen=True)
class Probe:
    """One model of an endpoint, asked at temperature 0 with one seed.

    min_f1: below it, `trigger` fails. tokenizer: the endpoint's own, for exact prompt sizes;
    style: of the chat template beside it.
    tolerance: mean difference, in nats a token, of two correct scorings of the same tokens.
    context: tokens of the longest prompt of the numerical checks. batch: prompts of their batches.
    reference: the same model elsewhere, which is known to be right.
    """

    endpoint: Endpoint
    model: str
    seed: int = 0
    min_f1: float | None = None
    tokenizer: Tokenizer | None = None
    style: PromptStyle = INSTRUCT
    tolerance: float = TOLERANCE
    context: int = CONTEXT
    batch: int = BATCH
    reference: "Probe | None" = None

    def body(self, messages: Sequence[JsonObject], **fields: Any) -> dict[str, Any]:
        """A request; a field that is None is left out."""
        settings = {"temperature": 0, "seed": self.seed, "max_tokens": DEFAULT_MAX_TOKENS}
        body = {"model": self.model, "messages": list(messages), **settings, **fields}
        return {name: value for name, value in body.items() if value is not None}

    async def raw(self, messages: Sequence[JsonObject], **fields: Any) -> Response:
        """The response, whatever its status."""
        return await self.endpoint.post(CHAT, self.body(messages, **fields))

    async def whole(self, messages: Sequence[JsonObject], **fields: Any) -> Reply:
        """A whole answer. Raises EndpointFault if there is none."""
        return read_whole(accepted(await self.raw(messages, **fields)))

    async def streamed(self, messages: Sequence[JsonObject], **fields: Any) -> Reply:
        """A streamed answer. Raises EndpointFault if there is none."""
        options = {"include_usage": True}
        sent = await self.raw(messages, stream=True, stream_options=options, **fields)
        return read_stream(accepted(sent))

    async def both(self, messages: Sequence[JsonObject], **fields: Any) -> tuple[Reply, Reply]:
        """The same request whole and streamed."""
        asked = (self.whole(messages, **fields), self.streamed(messages, **fields))
        whole, streamed = await all_of(asked)
        return whole, streamed

    async def prompt_tokens(
        self,
        messages: Sequence[JsonObject],
        tools: Sequence[JsonObject] | None = None,
    ) -> int:
        """The size of the prompt, as the endpoint counts it. Raises UncountedError."""
        reply = await self.whole(messages, tools=tools, max_tokens=1)
        tokens = reply.tokens("prompt")
        if tokens is None:
            raise UncountedError("answers have no usage.prompt_tokens, so prompts cannot be sized")
        return tokens


class NotOfferedError(Exception):
    """The endpoint does not offer what a check needs, so that it is skipped. One line."""


class UncountedError(NotOfferedError):
    """The endpoint does not report the length of prompts."""


def accepted(response: Response) -> Response:
    """The response if it is a success. Raises EndpointFault with what the endpoint said."""
    if response.status != 200:
        raise EndpointFault(f"a valid request got {response.status}: {shown(response.text)}")
    return response


async def all_of(asked: Iterable[Awaitable[T]]) -> list[T]:
    """The results, in order. The first error cancels the others and is raised unchanged."""

    async def run(one: Awaitable[T]) -> T:
        return await one

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(one)) for one in asked]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
