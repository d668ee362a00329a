"""`ChatFormat`: how a model's conversations become ids, and its output ids become an answer.

`K2Format` is K2's own, with calls. `TemplateFormat` is whatever a checkpoint's template writes:
text in, text out.
"""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from openk2.chat import (
    CHAT_TEMPLATE,
    INSTRUCT,
    CallCounts,
    CheckpointTemplate,
    ContentDelta,
    OutputEvent,
    OutputParser,
    PromptStyle,
    RenderError,
    Thinking,
    Tokenizer,
    canonical_history,
    encode_piece,
    render,
    tool_schemas,
)
from openk2.generation.encoding import refuse_too_long, text_size
from openk2.generation.request_error import RequestError
from openk2.generation.thinking import ThinkingFields, ThinkingPlan, plan_thinking

Messages = Sequence[Mapping[str, Any]]
DEFAULT_THINKING = Thinking()


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

    @property
    def reasoning_tokens(self) -> int:
        """How many ids so far are thoughts."""
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

    @property
    def thinks(self) -> bool:
        """Whether an answer may begin with a thought."""
        ...

    def plan(self, fields: ThinkingFields) -> ThinkingPlan:
        """What the model makes of a request's thinking. Raises RequestError."""
        ...

    def opens(self, thinking: Thinking) -> bool:
        """Whether a prompt ends inside a thought."""
        ...

    def encode(
        self,
        messages: Messages,
        tools: Messages,
        *,
        generation_prompt: bool = True,
        thinking: Thinking = DEFAULT_THINKING,
        begun: Mapping[str, Any] | None = None,
        context_length: int | None = None,
    ) -> tuple[list[int], int]:
        """The prompt's ids, and how many calls the history has. Raises RenderError, RequestError.

        generation_prompt: end where the assistant goes on. begun: an assistant message that it
        goes on with. context_length: text that cannot fit in it is refused before it is encoded
        (ContextLengthError).
        """
        ...

    def parser(
        self, tools: Messages, first_number: int, *, in_reasoning: bool = False
    ) -> AnswerParser:
        """A fresh parser of one answer. first_number: how many calls the history has."""
        ...


class K2Format:
    """K2's sections and calls, and thoughts where its style has them.

    style: of the checkpoint's prompts. template: the same as a Jinja template.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        style: PromptStyle = INSTRUCT,
        template: str = CHAT_TEMPLATE,
    ) -> None:
        self._tokenizer, self.style, self._template = tokenizer, style, template

    @property
    def template(self) -> str:
        """See `ChatFormat.template`."""
        return self._template

    @property
    def thinks(self) -> bool:
        """See `ChatFormat.thinks`."""
        return self.style.thinks

    def plan(self, fields: ThinkingFields) -> ThinkingPlan:
        """See `ChatFormat.plan`."""
        return plan_thinking(self.style, fields)

    def opens(self, thinking: Thinking) -> bool:
        """See `ChatFormat.opens`."""
        return self.style.opens and thinking.enabled is not False

    def encode(
        self,
        messages: Messages,
        tools: Messages,
        *,
        generation_prompt: bool = True,
        thinking: Thinking = DEFAULT_THINKING,
        begun: Mapping[str, Any] | None = None,
        context_length: int | None = None,
    ) -> tuple[list[int], int]:
        """See `ChatFormat.encode`."""
        history = canonical_history(messages)
        pieces = render(
            history.messages,
            tools,
            generation_prompt=generation_prompt,
            style=self.style,
            thinking=thinking,
            begun=begun,
        )
        if context_length is not None:
            written = sum(len(piece.text) for piece in pieces if not piece.control)
            refuse_too_long(written, self._tokenizer, context_length)
        ids = [each for piece in pieces for each in encode_piece(self._tokenizer, piece)]
        return ids, history.call_count

    def parser(
        self, tools: Messages, first_number: int, *, in_reasoning: bool = False
    ) -> OutputParser:
        """See `ChatFormat.parser`."""
        schemas = tool_schemas(tools)
        # A marker is an id that the mask let through; text that spells one is text.
        return OutputParser(
            self._tokenizer,
            schemas,
            schemas=schemas,
            first_number=first_number,
            spelt_calls=False,
            in_reasoning=in_reasoning,
        )


class TemplateFormat:
    """A checkpoint's own template; None: it has none, and every conversation is refused."""

    thinks = False

    def __init__(self, tokenizer: Tokenizer, template: CheckpointTemplate | None) -> None:
        self._tokenizer, self._template = tokenizer, template

    @property
    def template(self) -> str:
        """The checkpoint's Jinja text."""
        return "" if self._template is None else self._template.source

    def plan(self, fields: ThinkingFields) -> ThinkingPlan:
        """See `ChatFormat.plan`; the fields are ignored, since thoughts are text of the answer."""
        return ThinkingPlan()

    def opens(self, thinking: Thinking) -> bool:
        """See `ChatFormat.opens`."""
        return False

    def encode(
        self,
        messages: Messages,
        tools: Messages,
        *,
        generation_prompt: bool = True,
        thinking: Thinking = DEFAULT_THINKING,
        begun: Mapping[str, Any] | None = None,
        context_length: int | None = None,
    ) -> tuple[list[int], int]:
        """See `ChatFormat.encode`; tools are refused, since their calls could not be read."""
        if tools:
            message = "tools are read in K2's format only, which this checkpoint does not have"
            raise RequestError(f"{message}: leave them out", "tools")
        if self._template is None:
            raise RenderError(
                "messages", "need a chat template, which this checkpoint lacks: use /v1/completions"
            )
        if context_length is not None:
            refuse_too_long(text_size([*messages, begun or {}]), self._tokenizer, context_length)
        joined = [joined_content(message, number) for number, message in enumerate(messages)]
        ids = self._template.encode(joined, generation_prompt=generation_prompt)
        return ids + (self._tokenizer.encode(begun["content"]) if begun else []), 0

    def parser(
        self, tools: Messages, first_number: int, *, in_reasoning: bool = False
    ) -> "PlainAnswer":
        """See `ChatFormat.parser`."""
        return PlainAnswer(self._tokenizer)


class PlainAnswer:
    """An answer that is all text; special tokens are left out of it, as other engines do."""

    counts = CallCounts()
    completed_calls = 0
    reasoning_tokens = 0

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
