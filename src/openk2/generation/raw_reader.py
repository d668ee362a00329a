"""`RawReader`: turn the token chunks of one raw completion into its events."""

import codecs
from collections.abc import Iterator, Sequence

from openk2.chat import Tokenizer
from openk2.generation.chat import ChatFinish
from openk2.generation.chat_reader import content
from openk2.generation.completion import CompletionEvent, CompletionRequest
from openk2.generation.scores import ScoredToken, TokensScored, score
from openk2.generation.stop_strings import StopStrings
from openk2.generation.token_stream import single_tokens
from openk2.protocol import FinishReason, TokenChunk, TokenLogprobs


class RawReader:
    """Decodes, looks for stop strings, counts and finishes; make a fresh one per request.

    finished: whether `read` gave the ChatFinish; nothing more may be read then.
    """

    def __init__(
        self, tokenizer: Tokenizer, request: CompletionRequest, prompt: Sequence[int]
    ) -> None:
        self.finished = False
        self._tokenizer = tokenizer
        self._request = request
        self._prompt = prompt
        self._began = False
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = StopStrings(request.stop)
        self._completion_tokens = 0
        self._cached_tokens = 0

    def read(self, chunk: TokenChunk) -> Iterator[CompletionEvent]:
        """The events of the next tokens. How the output was cut into chunks does not matter."""
        if not self._began and self._request.echo:
            yield from self._echo(chunk)
        self._began = True
        for piece in single_tokens(chunk) if self._request.stop else (chunk,):
            yield from self._read(piece)
            if self.finished:
                return

    def _echo(self, first: TokenChunk) -> Iterator[CompletionEvent]:
        """The prompt. A character that its last token leaves open is closed by the output."""
        if self._request.logprobs is not None and first.prompt_logprobs is not None:
            yield TokensScored(self._prompt_scores(first.prompt_logprobs))
        yield from content(self._utf8.decode(self._tokenizer.decode_bytes(self._prompt)))

    def _prompt_scores(self, logprobs: Sequence[TokenLogprobs | None]) -> tuple[ScoredToken, ...]:
        """Scores of the prompt's tokens; those that nothing predicts have none."""
        scores: list[ScoredToken] = []
        for token_id, entry in zip(self._prompt, logprobs, strict=True):
            if entry is None:
                scores.append(ScoredToken(self._tokenizer.decode_bytes([token_id]), None))
            else:
                scores += score(self._tokenizer, [entry])
        return tuple(scores)

    def _read(self, chunk: TokenChunk) -> Iterator[CompletionEvent]:
        self._completion_tokens += len(chunk.token_ids)
        self._cached_tokens += chunk.cached_tokens
        if chunk.logprobs:
            yield TokensScored(score(self._tokenizer, chunk.logprobs))
        said = chunk.token_ids[:-1] if chunk.finish_reason == "stop" else chunk.token_ids
        ends = chunk.finish_reason is not None
        text = self._utf8.decode(self._tokenizer.decode_bytes(said), final=ends)
        yield from content(self._stops.feed(text))
        if self._stops.matched is not None:
            yield self._finish("stop")
        elif chunk.finish_reason is not None:
            yield from content(self._stops.flush())
            yield self._finish(chunk.finish_reason)

    def _finish(self, reason: FinishReason) -> ChatFinish:
        self.finished = True
        return ChatFinish(
            reason,
            len(self._prompt),
            self._completion_tokens,
            self._cached_tokens,
            self._stops.matched,
        )
