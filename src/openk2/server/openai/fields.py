"""`GenerationFields`: what the bodies of chat and raw completions share, as pydantic reads it."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from openk2.protocol import MAX_LOGPROBS

MAX_CHOICES = 128
MAX_STOPS = 16
MAX_BIAS = 100
# SamplingParams' settings under OpenAI's and vLLM's names, which are the same.
SETTINGS = (
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
)

TokenIdText = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-MAX_BIAS, le=MAX_BIAS)]
Stop = Annotated[str, Field(min_length=1)]
Stops = Annotated[list[Stop], Field(max_length=MAX_STOPS)]


def as_list(value: Any) -> Any:
    """One string means a list of it."""
    return [value] if isinstance(value, str) else value


class StreamOptions(BaseModel):
    """What a stream holds beside the answer."""

    model_config = ConfigDict(strict=True)

    include_usage: bool | None = None


class GenerationFields(BaseModel):
    """null, which some clients send for "not set", means the default everywhere."""

    # Strict: "false" is not false, and true is not 1 token.
    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, lt=2**31)
    min_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, le=2)
    logit_bias: dict[TokenIdText, Bias] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Annotated[
        Stops | None, BeforeValidator(as_list, json_schema_input_type=Stop | Stops | None)
    ] = None
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def settings(self) -> dict[str, Any]:
        """The fields of `GenerationSettings` that the client set, logprobs excepted."""
        named = {name: getattr(self, name) for name in SETTINGS}
        named["top_k"] = None if self.top_k is None else max(self.top_k, 0)
        named["stop"] = None if self.stop is None else tuple(self.stop)
        if self.logit_bias is not None:
            named["logit_bias"] = {int(token): bias for token, bias in self.logit_bias.items()}
        return {name: value for name, value in named.items() if value is not None}

    def choice_seeds(self) -> list[int | None]:
        """A seed for each of the n choices: they differ, and each can be had alone."""
        n = self.n or 1
        return [None] * n if self.seed is None else [self.seed + i for i in range(n)]

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk of its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


TopLogprobs = Annotated[int, Field(ge=0, le=MAX_LOGPROBS)]
