"""`ChatFormat`: how a model's conversations become ids, and its output ids become an answer.

`K2Format` is K2's own, with calls. `TemplateFormat` is whatever a checkpoint's template writes:
text in, text out.
"""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from openk2.chat import (
    CHAT_TEMPLATE,
    CallCounts,
    CheckpointTemplate,
    ContentDelta,
    OutputEvent,
    OutputParser,
    RenderError,
    Tokenizer,
    canonical_history,
    encode_chat,
    tool_schemas,
)
from openk2.generation.request_error import RequestError

Messages = Sequence[Mapping[str, Any]]


class AnswerParser(Protocol):
    """Reads one answer's ids as they come."""

    @property
    def counts(self) -> CallCounts:
        """What became of the calls so far."""
        ...

    @property
    def completed_calls(self) -> int:
        """How many calls are whole."""
        ...

    def feed(self, ids: Iterable[int]) -> list[OutputEvent]:
        """Take more ids; returns the events that are certain."""
        ...

    def finish(self) -> list[OutputEvent]:
        """End the answer; returns what was held back."""
        ...


class ChatFormat(Protocol):
    """Conversation -> prompt ids, output ids -> events."""

    @property
    def template(self) -> str:
        """The same as a Jinja template."""
        ...

    def encode(
        self, messages: Messages, tools: Messages, *, generation_prompt: bool = True
    ) -> tuple[list[int], int]:
        """The prompt's ids, and how many calls the history has. Raises RenderError, RequestError.

        generation_prompt: end with the assistant's header.
        """
        ...

    def parser(self, tools: Messages, first_number: int) -> AnswerParser:
        """A fresh parser of one answer. first_number: how many calls the history has."""
        ...


class K2Format:
    """K2's sections and calls."""

    template = CHAT_TEMPLATE

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(
        self, messages: Messages, tools: Messages, *, generation_prompt: bool = True
    ) -> tuple[list[int], int]:
        """See `ChatFormat.encode`."""
        history = canonical_history(messages)
        encoded = encode_chat(
            self._tokenizer, history.messages, tools, generation_prompt=generation_prompt
        )
        return encoded.token_ids, history.call_count

    def parser(self, tools: Messages, first_number: int) -> OutputParser:
        """See `ChatFormat.parser`."""
        schemas = tool_schemas(tools)
        # A marker is an id that the mask let through; text that spells one is text.
        return OutputParser(
            self._tokenizer,
            schemas,
            schemas=schemas,
            first_number=first_number,
            spelt_calls=False,
        )


class TemplateFormat:
    """A checkpoint's own template; None: it has none, and every conversation is refused."""

    def __init__(self, tokenizer: Tokenizer, template: CheckpointTemplate | None) -> None:
        self._tokenizer, self._template = tokenizer, template

    @property
    def template(self) -> str:
        """The checkpoint's Jinja text."""
        return "" if self._template is None else self._template.source

    def encode(
        self, messages: Messages, tools: Messages, *, generation_prompt: bool = True
    ) -> tuple[list[int], int]:
        """See `ChatFormat.encode`; tools are refused, since their calls could not be read."""
        if tools:
            message = "tools are read in K2's format only, which this checkpoint does not have"
            raise RequestError(f"{message}: leave them out", "tools")
        if self._template is None:
            raise RenderError(
                "messages", "need a chat template, which this checkpoint lacks: use /v1/completions"
            )
        joined = [joined_content(message, number) for number, message in enumerate(messages)]
        return self._template.encode(joined, generation_prompt=generation_prompt), 0

    def parser(self, tools: Messages, first_number: int) -> "PlainAnswer":
        """See `ChatFormat.parser`."""
        return PlainAnswer(self._tokenizer)


class PlainAnswer:
    """An answer that is all text; special tokens are left out of it, as other engines do."""

    counts = CallCounts()
    completed_calls = 0

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> list[OutputEvent]:
        """See `AnswerParser.feed`."""
        said = [token_id for token_id in ids if token_id not in self._tokenizer.silent_ids]
        return self._events(self._utf8.decode(self._tokenizer.decode_bytes(said)))

    def finish(self) -> list[OutputEvent]:
        """See `AnswerParser.finish`."""
        return self._events(self._utf8.decode(b"", final=True))

    def _events(self, text: str) -> list[OutputEvent]:
        return [ContentDelta(text)] if text else []


def joined_content(message: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The message with its text parts as one text, which every template reads."""
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    for index, part in enumerate(content):
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            where = f"messages[{number}].content[{index}]"
            raise RenderError(where, "has no text: only text parts are supported")
    return {**message, "content": "".join(part["text"] for part in content)}
