"""Raw completions in OpenAI's format: whole, and as chunks of a stream."""

import codecs
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from openk2.chat import ContentDelta
from openk2.generation import ChatFinish, Completion, CompletionEvent, ScoredToken, TokensScored
from openk2.server.openai.token_text import token_text
from openk2.server.openai.usage import Usage
from openk2.server.stream import DONE, data_event


def completion_json(outputs: Sequence[Completion], n: int, *, scored: bool) -> dict[str, Any]:
    """`choices` and `usage` of whole outputs, n of each prompt, prompt after prompt, for
    `whole_json`."""
    choices = [
        {
            "index": index,
            "text": output.text,
            "logprobs": ScoreWriter().columns(output.scores) if scored else None,
            "finish_reason": output.finish_reason,
        }
        for index, output in enumerate(outputs)
    ]
    return {"choices": choices, "usage": joint_usage(outputs, n).json()}


def joint_usage(outputs: Sequence[Completion | ChatFinish], n: int) -> Usage:
    """Of n outputs of each prompt, prompt after prompt."""
    total = Usage(0, 0, 0)
    for start in range(0, len(outputs), n):
        total += Usage.of_choices(outputs[start : start + n])
    return total


class ScoreWriter:
    """The scores of one choice in the form of completions, whole or a chunk at a time."""

    def __init__(self) -> None:
        self._offset = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, scores: Sequence[ScoredToken]) -> dict[str, list[Any]]:
        """A choice's `logprobs`."""
        return {name: list(column) for name, column in self.columns(scores).items()}

    def columns(self, scores: Sequence[ScoredToken]) -> dict[str, Iterator[Any]]:
        """A choice's `logprobs`: four lists with one entry a token.

        text_offset: where the token begins in the choice's text, in characters; for one that goes
        on with a character, where that character is. top_logprobs has the token itself too, as
        OpenAI's has; it is null where nothing predicted the token.
        """
        return {
            "tokens": (token_text(entry.token) for entry in scores),
            "token_logprobs": (entry.logprob for entry in scores),
            "top_logprobs": (likeliest(entry) for entry in scores),
            "text_offset": self._offsets(scores),
        }

    def _offsets(self, scores: Sequence[ScoredToken]) -> Iterator[int]:
        for entry in scores:
            yield self._offset
            self._offset += len(self._utf8.decode(entry.token))


def likeliest(entry: ScoredToken) -> dict[str, float] | None:
    """The likeliest tokens in a token's place, and the token."""
    if entry.logprob is None:
        return None
    listed = {token_text(token): logprob for token, logprob in entry.top}
    return listed | {token_text(entry.token): entry.logprob}


async def chunk_events(
    events: AsyncGenerator[tuple[int, CompletionEvent], None],
    choices: int,
    n: int,
    head: dict[str, Any],
    *,
    include_usage: bool,
) -> AsyncGenerator[bytes, None]:
    """The chunks of streamed outputs as server-sent events.

    events: of all choices, each with its choice's index. n: choices of each prompt.
    include_usage: send a last chunk with `usage` and no choice.
    """
    no_usage = {"usage": None} if include_usage else {}
    writers = [CompletionChoiceWriter(index) for index in range(choices)]
    finishes: dict[int, ChatFinish] = {}
    async with aclosing(events):
        async for index, event in events:
            for choice in writers[index].write(event):
                yield data_event({**head, "choices": [choice], **no_usage})
            if isinstance(event, ChatFinish):
                finishes[index] = event
    if include_usage:
        usage = joint_usage([finishes[index] for index in range(choices)], n)
        yield data_event({**head, "choices": [], "usage": usage.json()})
    yield DONE


class CompletionChoiceWriter:
    """The events of one choice -> the `choices` entries of its chunks."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.writer = ScoreWriter()
        self.scores: list[ScoredToken] = []  # not sent in a chunk yet

    def write(self, event: CompletionEvent) -> Iterator[dict[str, Any]]:
        """The entries for an event."""
        match event:
            case TokensScored():
                self.scores += event.tokens
            case ContentDelta():
                yield self.entry(event.text, None)
            case ChatFinish():
                yield self.entry("", event.reason)

    def entry(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        """An entry of `choices`; it carries the scores since the last one."""
        scores, self.scores = self.scores, []
        return {
            "index": self.index,
            "text": text,
            "logprobs": self.writer.write(scores) if scores else None,
            "finish_reason": finish_reason,
        }
