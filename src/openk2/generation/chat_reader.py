"""`ChatReader`: turn the token chunks of one answer into its events."""

from collections.abc import Iterator

from openk2.chat import CallStart, ContentDelta, OutputEvent, Tokenizer
from openk2.generation.chat import ChatEvent, ChatFinish
from openk2.generation.chat_format import AnswerParser
from openk2.generation.scores import TokensScored, score
from openk2.generation.stop_strings import StopStrings
from openk2.generation.token_stream import single_tokens
from openk2.protocol import FinishReason, TokenChunk


class ChatReader:
    """Parses, looks for stop strings, counts and finishes; make a fresh one per request.

    parser: fresh too. stop: strings that end the answer. finished: whether `read` gave the
    ChatFinish; nothing more may be read then.
    """

    def __init__(
        self, tokenizer: Tokenizer, parser: AnswerParser, stop: tuple[str, ...], prompt_tokens: int
    ) -> None:
        self.finished = False
        self._tokenizer = tokenizer
        self._parser = parser
        self._stops = StopStrings(stop)
        self._stops_wanted = bool(stop)
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0
        self._cached_tokens = 0

    def read(self, chunk: TokenChunk) -> Iterator[ChatEvent]:
        """The events of the next tokens. How the output was cut into chunks does not matter."""
        # A stop string ends the answer after the token that completes it, not after its chunk.
        for piece in single_tokens(chunk) if self._stops_wanted else (chunk,):
            yield from self._read(piece)
            if self.finished:
                return

    def _read(self, chunk: TokenChunk) -> Iterator[ChatEvent]:
        self._completion_tokens += len(chunk.token_ids)
        self._cached_tokens += chunk.cached_tokens
        # The stop token is not text, whichever id a checkpoint's files declare.
        said = chunk.token_ids[:-1] if chunk.finish_reason == "stop" else chunk.token_ids
        if chunk.logprobs is not None and said:
            yield TokensScored(score(self._tokenizer, chunk.logprobs[: len(said)]))
        for event in self._parser.feed(said):
            yield from self._pass(event)
            if self.finished:
                return
        if chunk.finish_reason is not None:
            yield from self._end(chunk.finish_reason)

    def _pass(self, event: OutputEvent) -> Iterator[ChatEvent]:
        """The event, its text cut at a stop string."""
        if isinstance(event, ContentDelta):
            yield from content(self._stops.feed(event.text))
            if self._stops.matched is not None:
                yield self._finish("stop")
            return
        if isinstance(event, CallStart):
            yield from content(self._stops.flush())
        yield event

    def _end(self, reason: FinishReason) -> Iterator[ChatEvent]:
        """What is held back, and the finish."""
        for event in self._parser.finish():
            yield from self._pass(event)
            if self.finished:
                return
        yield from content(self._stops.flush())
        yield self._finish(reason)

    def _finish(self, reason: FinishReason) -> ChatFinish:
        self.finished = True
        # Cut is cut: whole calls before the limit do not say that no other was to come.
        called = self._parser.completed_calls > 0 and reason != "length"
        return ChatFinish(
            "tool_calls" if called else reason,
            self._prompt_tokens,
            self._completion_tokens,
            self._cached_tokens,
            self._stops.matched,
            self._parser.counts,
            self._parser.reasoning_tokens,
        )


def content(text: str) -> Iterator[ContentDelta]:
    """The text as an event, if there is any."""
    if text:
        yield ContentDelta(text)
