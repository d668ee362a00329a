"""Chat answers in OpenAI's format: whole, and as chunks of a stream."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from openk2.chat import CallArguments, CallStart, ContentDelta, ReasoningDelta
from openk2.generation import (
    ChatAnswer,
    ChatEvent,
    ChatFinish,
    PromptRead,
    ScoredToken,
    TokensScored,
)
from openk2.server.openai.token_text import token_text
from openk2.server.openai.usage import Usage
from openk2.server.stream import DONE, data_event


def answer_json(answers: Sequence[ChatAnswer], *, scored: bool) -> dict[str, Any]:
    """`choices` and `usage` of whole answers to one request, for `whole_json`.

    scored: logprobs were requested.
    """
    choices = [
        {
            "index": index,
            "message": answer.message(),
            "logprobs": {"content": entries(answer.scores), "refusal": None} if scored else None,
            "finish_reason": answer.finish_reason,
        }
        for index, answer in enumerate(answers)
    ]
    return {"choices": choices, "usage": Usage.of_choices(answers).json()}


def entries(scores: Iterable[ScoredToken]) -> Iterator[dict[str, Any]]:
    """The `content` of a choice's `logprobs`, an entry a token."""
    for entry in scores:
        top = [token_json(token, logprob) for token, logprob in entry.top]
        yield {**token_json(entry.token, entry.logprob), "top_logprobs": top}


def token_json(token: bytes, logprob: float | None) -> dict[str, Any]:
    """One token and how likely it was."""
    return {"token": token_text(token), "logprob": logprob, "bytes": list(token)}


async def chunk_events(
    events: AsyncGenerator[tuple[int, ChatEvent], None],
    choices: int,
    head: dict[str, Any],
    *,
    include_usage: bool,
) -> AsyncGenerator[bytes, None]:
    """The chunks of a streamed answer as server-sent events.

    events: of all choices, each with its choice's index.
    include_usage: send a last chunk with `usage` and no choice, as OpenAI's clients expect.
    The last chunk of every choice also has `choices[0].usage`, where the vendor's checks look.
    """
    no_usage = {"usage": None} if include_usage else {}
    writers = [ChatChoiceWriter(index) for index in range(choices)]
    finishes: list[ChatFinish] = []
    async with aclosing(events):
        async for index, event in events:
            for choice in writers[index].write(event):
                yield data_event({**head, "choices": [choice], **no_usage})
            if isinstance(event, ChatFinish):
                finishes.append(event)
    if include_usage:
        yield data_event({**head, "choices": [], "usage": Usage.of_choices(finishes).json()})
    yield DONE


class ChatChoiceWriter:
    """The events of one choice -> the `choices` entries of its chunks."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.started = False
        self.scores: list[ScoredToken] = []  # not sent in a chunk yet

    def write(self, event: ChatEvent) -> Iterator[dict[str, Any]]:
        """The entries for an event."""
        if isinstance(event, PromptRead):
            return
        # Not before the first event: until then an error is an ordinary response.
        if not self.started:
            self.started = True
            yield self.entry({"role": "assistant", "content": ""})
        match event:
            case TokensScored():
                self.scores += event.tokens
            case ContentDelta():
                yield self.scored({"content": event.text})
            case ReasoningDelta():
                yield self.scored({"reasoning_content": event.text})
            case CallStart():
                function = {"name": event.name, "arguments": ""}
                call = {"index": event.index, "id": event.id, "type": "function"}
                yield self.scored({"tool_calls": [{**call, "function": function}]})
            case CallArguments():
                call = {"index": event.index, "function": {"arguments": event.text}}
                yield self.scored({"tool_calls": [call]})
            case ChatFinish():
                usage = Usage.of(event).json()
                yield self.scored({}, finish_reason=event.reason, usage=usage)

    def scored(self, delta: dict[str, Any], **last: Any) -> dict[str, Any]:
        """An entry that carries the scores since the last one."""
        scores, self.scores = self.scores, []
        logprobs = {"content": list(entries(scores)), "refusal": None} if scores else None
        return self.entry(delta, logprobs=logprobs, **last)

    def entry(self, delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """An entry of `choices`."""
        plain = {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": None}
        return {**plain, **fields}
