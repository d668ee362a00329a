"""`RepairedChat`: a `ChatGenerator` whose histories are complete, whatever their clients dropped.

It remembers the reasoning of every answer, and puts it back into turns that come without. What a
client sends is never replaced and never remembered, so a client can only get back what a model
wrote in a conversation of the same API key.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from openk2.chat import (
    OutputEvent,
    ReasoningDelta,
    canonical_history,
    join_events,
)
from openk2.gateway.thought_memory import ThoughtMemory
from openk2.gateway.turns import TurnNames, arguments_of
from openk2.generation import (
    ChatAnswer,
    ChatEvent,
    ChatFinish,
    ChatGenerator,
    ChatRequest,
    PromptRead,
    SharedWork,
    TokensScored,
    key_of,
    text_size,
)

THOUGHT = "reasoning_content"
# Digests of more text than this would hold up the event loop for more than a millisecond or two.
MOST_CHARACTERS_HERE = 200_000
MESSAGE_CHARACTERS = 1_000  # what a message costs beside its text, as characters
KINDS = (
    "reasoning_restored",
    "reasoning_unknown",
    "reasoning_kept",
    "reasoning_too_large",
    "ids_renamed",
)

Messages = Sequence[Mapping[str, Any]]


class RepairedChat:
    """chat: answers the repaired requests. memory: None for a model that does not think.

    counts: of each kind of repair.
    """

    def __init__(self, chat: ChatGenerator, memory: ThoughtMemory | None) -> None:
        self.chat, self.memory = chat, memory
        self.counts: Counter[str] = Counter()
        self._shared = SharedWork()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`."""
        # Once for all choices of an HTTP request, whose messages are the same.
        work = partial(self.repaired_messages, request)
        messages = await self._shared.once(key_of(request), work)
        repaired = replace(request, messages=messages)
        said: list[OutputEvent] = []
        async with aclosing(self.chat.stream(repaired)) as events:
            async for event in events:
                if isinstance(event, ChatFinish):
                    # Before the client can know that it may go on.
                    await self.remember(request, said, event)
                elif self.memory is not None and not isinstance(event, PromptRead | TokensScored):
                    said.append(event)
                yield event

    async def repaired_messages(self, request: ChatRequest) -> Messages:
        """The messages with every thought that is known and missing, and canonical ids."""
        messages = await self._with_thoughts(request)
        canonical = canonical_history(messages).messages
        self.counts["ids_renamed"] += renamed(messages, canonical)
        return canonical

    async def _with_thoughts(self, request: ChatRequest) -> list[Mapping[str, Any]]:
        """The messages with every thought that is known and missing."""
        messages = list(request.messages)
        missing = missing_thoughts(messages[: -1 if request.is_continued else None])
        if self.memory is None or not missing:
            return messages
        thoughts = await self.memory.find(await names_of(request.tenant, messages, missing))
        for index, thought in zip(missing, thoughts, strict=True):
            if thought is not None:
                messages[index] = with_thought(messages[index], thought)
        restored = sum(thought is not None for thought in thoughts)
        self.counts["reasoning_restored"] += restored
        self.counts["reasoning_unknown"] += len(thoughts) - restored
        return messages

    async def remember(
        self, request: ChatRequest, said: Sequence[OutputEvent], finish: ChatFinish
    ) -> None:
        """Keep the thought of an answer, if it has one."""
        if self.memory is None or not any(isinstance(event, ReasoningDelta) for event in said):
            return
        output = join_events(said)
        cut = output.cut_call if finish.reason == "length" else None
        turn = ChatAnswer(output.content, output.tool_calls, cut_call=cut).message()
        messages = [*request.messages]
        if request.is_continued:  # the client has the beginning and what follows it as one turn
            begun = messages.pop()
            turn["content"] = f"{begun.get('content') or ''}{turn['content'] or ''}"
        (names,) = await names_of(request.tenant, [*messages, turn], [len(messages)])
        kept = await self.memory.keep(request.tenant, names, output.reasoning)
        self.counts["reasoning_kept" if kept else "reasoning_too_large"] += 1

    def stats(self) -> Mapping[str, float]:
        """Numbers for /metrics."""
        counts: dict[str, float] = {f"repair_{kind}": self.counts[kind] for kind in KINDS}
        return counts if self.memory is None else {**counts, **self.memory.stats()}


def missing_thoughts(messages: Messages) -> list[int]:
    """Where the assistant's turns have no thought."""
    return [
        index
        for index, message in enumerate(messages)
        if isinstance(message, Mapping)
        and message.get("role") == "assistant"
        and not (message.get(THOUGHT) or message.get("reasoning"))
    ]


def with_thought(message: Mapping[str, Any], thought: str) -> dict[str, Any]:
    """The message with this thought, in the one field that every format reads."""
    return {**{k: v for k, v in message.items() if k != "reasoning"}, THOUGHT: thought}


async def names_of(
    tenant: str, messages: Messages, wanted: Sequence[int]
) -> list[tuple[bytes, ...]]:
    """The names of some turns of a conversation, off the event loop if it is long."""
    if reading_cost(messages) < MOST_CHARACTERS_HERE:
        return turn_names(tenant, messages, wanted)
    return await asyncio.to_thread(turn_names, tenant, messages, wanted)


def reading_cost(messages: Messages) -> int:
    """About how long it takes to name turns, in characters of text."""
    calls = [argument for message in messages for argument in arguments_of(message)]
    written = sum(len(one) if isinstance(one, str) else MOST_CHARACTERS_HERE for one in calls)
    return text_size(messages) + written + MESSAGE_CHARACTERS * len(messages)


def turn_names(tenant: str, messages: Messages, wanted: Sequence[int]) -> list[tuple[bytes, ...]]:
    """See `names_of`."""
    reader, asked = TurnNames(tenant), set(wanted)
    found = []
    for index, message in enumerate(messages):
        if index in asked:
            found.append(reader.of(message))
        if len(found) == len(asked):
            break
        if isinstance(message, Mapping):  # what is no message is reported where it is rendered
            reader.read(message)
    return found


def renamed(before: Messages, after: Messages) -> int:
    """How many calls and results have another id than their client gave them."""
    count = 0
    for old, new in zip(before, after, strict=True):
        if old is new:
            continue
        count += old.get("tool_call_id") != new.get("tool_call_id")
        calls = zip(old.get("tool_calls") or (), new.get("tool_calls") or (), strict=True)
        count += sum(one is not other and one.get("id") != other.get("id") for one, other in calls)
    return count
