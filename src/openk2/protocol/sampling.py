"""How the next token is chosen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SamplingParams:
    """One request's sampling settings.

    max_tokens: output tokens at most, at least 1; 0 scores the prompt only (with prompt_logprobs).
    temperature: 0 is greedy; the README recommends 0.6 for Kimi-K2-Instruct.
    top_p: keep the smallest set of tokens whose probability reaches it; 1 keeps all.
    top_k: keep the k likeliest tokens; 0 keeps all.
    min_p: keep tokens at least this share of the likeliest one's probability; 0 keeps all.
    presence_penalty: taken once from the logit of each id in the output so far.
    frequency_penalty: taken from it as often as the id is there.
    repetition_penalty: divides positive and multiplies negative logits of ids in prompt or output
        (CTRL, arXiv 1909.05858); 1 changes nothing.
    logit_bias: id -> what is added to its logit.
    logprobs: None, or how many likeliest ids to report beside each output token. They are of the
        model's own distribution: before temperature, penalties and bias.
    prompt_logprobs: the same for the prompt's tokens.
    seed: None draws from the operating system's entropy.
    stop_token_ids: ids that end the output; the stop id is the last id that is generated.

    Raises ValueError naming the field when a value is out of range.
    """

    max_tokens: int
    temperature: float = 0.6
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    seed: int | None = None
    stop_token_ids: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        least = 1 if self.prompt_logprobs is None else 0
        checks = {
            "max_tokens": (self.max_tokens >= least, f"at least {least}"),
            "temperature": (0.0 <= self.temperature <= 2.0, "between 0 and 2"),
            "top_p": (0.0 < self.top_p <= 1.0, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (off) or more"),
            "min_p": (0.0 <= self.min_p <= 1.0, "between 0 and 1"),
            "presence_penalty": (-2.0 <= self.presence_penalty <= 2.0, "between -2 and 2"),
            "frequency_penalty": (-2.0 <= self.frequency_penalty <= 2.0, "between -2 and 2"),
            "repetition_penalty": (0.0 < self.repetition_penalty <= 2.0, "above 0, at most 2"),
            "logprobs": (0 <= (self.logprobs or 0) <= MAX_LOGPROBS, f"0 to {MAX_LOGPROBS}"),
            "prompt_logprobs": (
                0 <= (self.prompt_logprobs or 0) <= MAX_LOGPROBS,
                f"0 to {MAX_LOGPROBS}",
            ),
        }
        for name, (ok, remedy) in checks.items():
            if not ok:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be {remedy}")
        for token, bias in self.logit_bias.items():
            if not math.isfinite(bias):
                raise ValueError(f"logit_bias of id {token} is {bias}: it must be a finite number")


MAX_LOGPROBS = 20
