"""`Scores`: the log-probabilities of an answer, as the two interfaces of OpenAI write them.

Numbers are read as they come, NaN and null included: `logprob-range` judges them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openk2.verify.wire.endpoint import EndpointFault


@dataclass(frozen=True)
class TokenScore:
    """A token's text and its log-probability; None where the endpoint sends null.

    top: the likeliest tokens in its place by their text.
    """

    token: str
    logprob: float | None
    top: Mapping[str, float | None]

    @property
    def usable(self) -> bool:
        """Whether the log-probability is a number that a model can give."""
        return usable(self.logprob)


Scores = tuple[TokenScore, ...]


def usable(logprob: float | None) -> bool:
    """Whether this is a finite number. vLLM writes -9999 for minus infinity and for NaN."""
    return logprob is not None and math.isfinite(logprob) and logprob > -1000


def completion_scores(logprobs: Mapping[str, Any]) -> Scores:
    """`choices[i].logprobs` of /v1/completions. Raises EndpointFault for lists that disagree."""
    tokens, values = logprobs["tokens"], logprobs["token_logprobs"]
    tops = logprobs.get("top_logprobs") or [None] * len(tokens)
    if not len(tokens) == len(values) == len(tops):
        lengths = f"{len(tokens)} tokens, {len(values)} log-probabilities, {len(tops)} lists of top"
        raise EndpointFault(f"the lists in logprobs disagree: {lengths}")
    return tuple(
        TokenScore(str(token), number(value), {str(k): number(v) for k, v in (top or {}).items()})
        for token, value, top in zip(tokens, values, tops, strict=True)
    )


def chat_scores(logprobs: Mapping[str, Any]) -> Scores:
    """`choices[0].logprobs` of /v1/chat/completions."""
    entries: Sequence[Mapping[str, Any]] = logprobs.get("content") or ()
    return tuple(
        TokenScore(
            str(entry["token"]),
            number(entry["logprob"]),
            {str(one["token"]): number(one["logprob"]) for one in entry.get("top_logprobs") or ()},
        )
        for entry in entries
    )


def number(value: Any) -> float | None:
    """The number as it was sent; None for null. Raises TypeError for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a log-probability is {str(value)[:40]!r}")
    return float(value)
