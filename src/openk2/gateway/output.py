"""`OutputReader`: read token ids from the chunks of an upstream's completion."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openk2.chat import Tokenizer
from openk2.gateway.text import SpeltOutput
from openk2.gateway.upstream import UpstreamError
from openk2.generation import UNREADABLE
from openk2.protocol import FinishReason, TokenLogprobs

FINISH_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


class TokenNames:
    """Reads token names in logprobs: `token_id:7`, `bytes:\\xe9`, or the text itself."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._ids = {token: token_id for token_id, token in enumerate(tokenizer.tokens)}
        self._ids |= {name.encode(): token_id for name, token_id in tokenizer.specials.items()}

    def id_of(self, name: str) -> int:
        """Raises UpstreamError for a name that is not a token of this vocabulary."""
        kind, _, rest = name.partition(":")
        if kind == "token_id" and rest.isdecimal():
            return int(rest[:20])
        token = bytes.fromhex(rest.replace("\\x", "")) if kind == "bytes" else name.encode()
        if token not in self._ids:
            message = "which the tokenizer does not have: do not request logprobs"
            raise UpstreamError(f"the upstream scores the token {name!r}, {message}")
        return self._ids[token]


@dataclass(frozen=True)
class Piece:
    """Ids of an output. logprobs: one per id, if requested. finish_reason: in the last piece."""

    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None
    logprobs: tuple[TokenLogprobs, ...] | None = None


class OutputReader:
    """Reads one request's chunks; make a fresh one per request.

    The first chunk shows whether this upstream sends `token_ids` beside the text. If scores were
    requested, the tokens are read from them instead.
    names: given if scores were requested; count: likeliest tokens per score.
    cached_tokens: set when a chunk reports it.
    """

    def __init__(self, text: SpeltOutput, names: TokenNames | None, count: int) -> None:
        self.cached_tokens = 0
        self._text = text
        self._names, self._count = names, count
        self._has_ids: bool | None = None

    def read(self, chunk: Mapping[str, Any]) -> Piece:
        """What the chunk adds. Raises UpstreamError if it is not a chunk of a completion."""
        try:
            return self._read(chunk)
        except UNREADABLE as error:
            problem = str(error)[:200]
            raise UpstreamError(f"the upstream sent no completion: {problem!r}") from error

    def _read(self, chunk: Mapping[str, Any]) -> Piece:
        details = (chunk.get("usage") or {}).get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens")
        if cached is not None:
            self.cached_tokens = whole(cached) or self.cached_tokens
        choices = chunk.get("choices") or ()
        if not choices:
            return Piece(())
        choice = choices[0]
        reason = choice.get("finish_reason")
        if reason is not None and reason not in FINISH_REASONS:
            raise UpstreamError(f"the upstream ended its output with {reason!r}")
        finish = None if reason is None else FINISH_REASONS[reason]
        if self._has_ids is None:
            self._has_ids = isinstance(choice.get("token_ids"), list)
        if self._names is not None:
            scores = read_scores(self._names, choice.get("logprobs") or {}, self._count)
            return Piece(tuple(score.token_id for score in scores), finish, scores)
        if self._has_ids:
            return Piece(tuple(map(whole, choice.get("token_ids") or ())), finish)
        ids = self._text.feed(choice.get("text") or "")
        return Piece((*ids, *(self._text.flush() if finish else ())), finish)


def whole(value: Any) -> int:
    """A token id or a count. Raises ValueError for what is no whole number of 64 bits."""
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError(f"{str(value)[:80]!r} is no whole number")
    return value


def finite(value: Any) -> float:
    """A log-probability. Raises ValueError for NaN, infinity and what is no number."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:80]!r} is no log-probability")
    return float(value)


def read_scores(
    names: TokenNames, logprobs: Mapping[str, Any], count: int
) -> tuple[TokenLogprobs, ...]:
    """Scores in the completions form: parallel lists with one entry per token."""
    tokens = logprobs.get("tokens") or []
    tops = logprobs.get("top_logprobs") or [None] * len(tokens)
    scores = []
    for token, logprob, top in zip(tokens, logprobs.get("token_logprobs") or (), tops, strict=True):
        # Engines list the chosen token too, after the likeliest.
        listed = [(names.id_of(other), finite(value)) for other, value in (top or {}).items()]
        best = sorted(listed, key=lambda entry: -entry[1])[:count]
        scores.append(TokenLogprobs(names.id_of(token), finite(logprob), tuple(best)))
    return tuple(scores)
