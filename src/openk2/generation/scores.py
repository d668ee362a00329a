"""`TokensScored`: how likely the output's tokens were, in bytes instead of ids.

The event carries no ids, so that an answer read from a server, which names tokens by their text,
is the same as one of a model in this process.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from openk2.chat import Tokenizer
from openk2.protocol import TokenLogprobs


@dataclass(frozen=True)
class ScoredToken:
    """A token's bytes (a special's are its name), which need not be whole characters.

    logprob: natural logarithm; None for a prompt's first token, which nothing predicts.
    top: the likeliest tokens in its place, best first.
    """

    token: bytes
    logprob: float | None
    top: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True)
class TokensScored:
    """The scores of the next tokens; it comes before the events that these tokens cause.

    The scores of an answer are those of its raw tokens in order, markers of calls and text that is
    held back or cut off by a stop string included. So they have one entry a token, whatever
    becomes of the text.
    """

    tokens: tuple[ScoredToken, ...]


def score(tokenizer: Tokenizer, logprobs: Iterable[TokenLogprobs]) -> tuple[ScoredToken, ...]:
    """The tokens' scores by their bytes."""
    return tuple(
        ScoredToken(
            tokenizer.decode_bytes([entry.token_id]),
            entry.logprob,
            tuple((tokenizer.decode_bytes([other]), logprob) for other, logprob in entry.top),
        )
        for entry in logprobs
    )
