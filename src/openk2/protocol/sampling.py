"""How the next token is chosen."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingParams:
    """One request's sampling settings.

    max_tokens: output tokens at most, at least 1.
    temperature: 0 is greedy; the README recommends 0.6 for Kimi-K2-Instruct.
    top_p: keep the smallest set of tokens whose probability reaches it; 1 keeps all.
    top_k: keep the k likeliest tokens; 0 keeps all.
    seed: None draws from the operating system's entropy.
    stop_token_ids: ids that end the output; the stop id is the last id that is generated.

    Raises ValueError naming the field when a value is out of range.
    """

    max_tokens: int
    temperature: float = 0.6
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        checks = {
            "max_tokens": (self.max_tokens >= 1, "at least 1"),
            "temperature": (0.0 <= self.temperature <= 2.0, "between 0 and 2"),
            "top_p": (0.0 < self.top_p <= 1.0, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (off) or more"),
        }
        for name, (ok, remedy) in checks.items():
            if not ok:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be {remedy}")
