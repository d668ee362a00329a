"""How the next token is chosen.

Every setting is declared once, in `Sampling`. The request types, the server's body fields, the
HTTP client and the gateway read its fields, so a setting added here reaches them all.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields
from typing import Any

MAX_LOGPROBS = 20
MAX_BIAS = 100
INT64 = 2**63


@dataclass(frozen=True)
class Bounds:
    """The values that a number may have. least, most: inclusive; above: exclusive.

    Values inside never overflow in float32, whatever finite logits they meet.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None

    def allow(self, value: float) -> bool:
        """Whether the value lies inside; NaN never does."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
        )

    def __str__(self) -> str:
        """For messages: `between 0 and 1`, `above 0 and at most 1`, `at least 0`."""
        if self.least is not None and self.most is not None:
            return f"between {self.least} and {self.most}"
        limits = (("above", self.above), ("at least", self.least), ("at most", self.most))
        return " and ".join(f"{words} {limit}" for words, limit in limits if limit is not None)


BIAS_BOUNDS = Bounds(least=-MAX_BIAS, most=MAX_BIAS)


def bounded(default: float | None, bounds: Bounds) -> Any:
    """A dataclass field of `Sampling` with bounds, which `bounds_of` returns."""
    return field(default=default, metadata={"bounds": bounds})


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The settings of a request that change which token is chosen.

    temperature: 0 is greedy; the README recommends 0.6 for Kimi-K2-Instruct.
    top_p: keep the smallest set of tokens whose probability reaches it; 1 keeps all, 0 the
        likeliest one.
    top_k: keep the k likeliest tokens; 0 keeps all.
    min_p: keep tokens at least this share of the likeliest one's probability; 0 keeps all.
    presence_penalty: subtracted once from the logit of each id in the output so far.
    frequency_penalty: subtracted from it as often as the id occurs there.
    repetition_penalty: divides positive and multiplies negative logits of ids in prompt or output
        (CTRL, arXiv 1909.05858); 1 changes nothing.
    logit_bias: id -> what is added to its logit, within BIAS_BOUNDS.
    seed: 64 bits; None draws from the operating system's entropy.

    A field needs a default that changes nothing (temperature excepted); one that is a number needs
    bounds. `check` is separate from construction because a remote server may allow more than we do.
    """

    temperature: float = bounded(0.6, Bounds(least=0, most=2))
    top_p: float = bounded(1.0, Bounds(least=0, most=1))
    top_k: int = bounded(0, Bounds(least=0, most=2**31 - 1))
    min_p: float = bounded(0.0, Bounds(least=0, most=1))
    presence_penalty: float = bounded(0.0, Bounds(least=-2, most=2))
    frequency_penalty: float = bounded(0.0, Bounds(least=-2, most=2))
    repetition_penalty: float = bounded(1.0, Bounds(least=0.01, most=2))
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = bounded(None, Bounds(least=-INT64, most=INT64 - 1))

    def settings(self) -> dict[str, Any]:
        """Every sampling setting by name; the fields of subclasses are left out."""
        return {name: getattr(self, name) for name in SAMPLING_SETTINGS}

    def changed(self) -> dict[str, Any]:
        """The settings that differ from their defaults."""
        default = Sampling().settings()
        return {name: value for name, value in self.settings().items() if value != default[name]}

    def check_types(self) -> None:
        """Raise ValueError, naming the field, for a number of another type, a subclass's too."""
        for setting in fields(self):
            if setting.type in NUMBERS:
                check_number(setting.name, getattr(self, setting.name), setting.type)
        if not isinstance(self.logit_bias, Mapping):
            raise ValueError(f"logit_bias is {self.logit_bias!r}: it must map ids to numbers")
        for token, bias in self.logit_bias.items():
            check_number("an id of logit_bias", token, int)
            check_number(f"logit_bias of id {token}", bias, float)

    def check(self) -> None:
        """Raise ValueError, naming the field, for a value of another type or out of bounds."""
        self.check_types()
        for name, value in self.settings().items():
            bounds = bounds_of(name)
            if bounds is None or (value is None and getattr(Sampling, name) is None):
                continue
            if not bounds.allow(value):
                raise ValueError(f"{name} is {shown(value)}: it must be {bounds}")
        for token, bias in self.logit_bias.items():
            if not BIAS_BOUNDS.allow(bias):
                problem = f"is {shown(bias)}: it must be {BIAS_BOUNDS}"
                raise ValueError(f"logit_bias of id {token} {problem}")


NUMBERS: Mapping[Any, str] = {
    float: "an int or a float",
    int: "an int",
    int | None: "an int or None",
}


def check_number(name: str, value: object, declared: Any) -> None:
    """Raise ValueError for a value that is not of the declared type, a key of NUMBERS.

    True is not 1 here, as in the server's bodies.
    """
    allowed = int | float if declared is float else declared
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise ValueError(f"{name} is {value!r}: it must be {NUMBERS[declared]}")


def shown(value: float) -> str:
    """A number for a message: Python refuses to write an integer of thousands of digits."""
    return "too large" if isinstance(value, int) and abs(value) > 10**40 else str(value)


SAMPLING_SETTINGS = tuple(setting.name for setting in fields(Sampling))


def bounds_of(name: str) -> Bounds | None:
    """The bounds of a sampling setting; None if it has none. Raises KeyError for another name."""
    declared = {setting.name: setting for setting in fields(Sampling)}
    bounds: Bounds | None = declared[name].metadata.get("bounds")
    return bounds


@dataclass(frozen=True)
class SamplingParams(Sampling):
    """One request as a token generator takes it: `Sampling`, and how much to generate and report.

    max_tokens: output tokens at most, at least 1; 0 scores the prompt only (with prompt_logprobs).
    logprobs: None, or how many likeliest ids to report beside each output token. They are of the
        model's own distribution: before temperature, penalties and bias.
    prompt_logprobs: the same for the prompt's tokens.
    stop_token_ids: ids that end the output; the stop id is the last id that is generated.
    owner: requests of one owner share its part of the batch while others wait; None: this one
        alone.

    Raises ValueError naming the field when a value is of another type or out of range.
    """

    max_tokens: int
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    stop_token_ids: frozenset[int] = frozenset()
    owner: str | None = None

    def __post_init__(self) -> None:
        self.check()
        least = 1 if self.prompt_logprobs is None else 0
        if self.max_tokens < least:
            raise ValueError(f"max_tokens is {self.max_tokens}: it must be at least {least}")
        for name in ("logprobs", "prompt_logprobs"):
            count = getattr(self, name)
            if count is not None and not 0 <= count <= MAX_LOGPROBS:
                raise ValueError(f"{name} is {count}: it must be between 0 and {MAX_LOGPROBS}")
        ids, owner = self.stop_token_ids, self.owner
        if not isinstance(ids, Set | list | tuple) or not all(isinstance(one, int) for one in ids):
            raise ValueError(f"stop_token_ids is {ids!r}: it must be a set of ids")
        if not isinstance(owner, str | None):
            raise ValueError(f"owner is {owner!r}: it must be a str or None")
