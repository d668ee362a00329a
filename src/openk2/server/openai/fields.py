"""`GenerationFields`: what the bodies of chat and raw completions share, as pydantic reads it."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from openk2.protocol import (
    BIAS_BOUNDS,
    MAX_LOGPROBS,
    SAMPLING_SETTINGS,
    Bounds,
    Sampling,
    bounds_of,
)

MAX_CHOICES = 128
MAX_STOPS = 16

TokenIdText = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=BIAS_BOUNDS.least, le=BIAS_BOUNDS.most)]
Stop = Annotated[str, Field(min_length=1)]
Stops = Annotated[list[Stop], Field(max_length=MAX_STOPS)]
TopLogprobs = Annotated[int, Field(ge=0, le=MAX_LOGPROBS)]


def sampling_field(name: str) -> tuple[Any, Any]:
    """A setting of `Sampling` as pydantic takes it: its type or null, and its bounds."""
    if name == "logit_bias":
        # The keys of a JSON object are strings, token ids too.
        return dict[TokenIdText, Bias] | None, None
    bounds = bounds_of(name)
    if bounds is None:
        raise TypeError(f"{name} of Sampling has no bounds: give it some, or a JSON form here")
    if name == "top_k":
        # Clients of vLLM switch it off with -1.
        bounds = Bounds(least=-1, most=bounds.most)
    declared = get_type_hints(Sampling)[name]
    return declared | None, Field(None, ge=bounds.least, le=bounds.most, gt=bounds.above)


def as_list(value: Any) -> Any:
    """One string means a list of it."""
    return [value] if isinstance(value, str) else value


class StreamOptions(BaseModel):
    """What a stream holds beside the answer."""

    model_config = ConfigDict(strict=True)

    include_usage: bool | None = None
    # vLLM's usage in every chunk. Only false can be kept, so pydantic refuses true by name.
    continuous_usage_stats: Literal[False] | None = None


if TYPE_CHECKING:
    SamplingFields = BaseModel
else:
    # One field per setting of `Sampling`, under OpenAI's and vLLM's names, which are the same.
    SamplingFields = create_model(
        "SamplingFields",
        # Strict: "false" is not false, and true is not 1 token.
        __config__=ConfigDict(extra="allow", strict=True),
        **{name: sampling_field(name) for name in SAMPLING_SETTINGS},
    )


class GenerationFields(SamplingFields):
    """null, which some clients send for "not set", means the default everywhere."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    stop: Annotated[
        Stops | None, BeforeValidator(as_list, json_schema_input_type=Stop | Stops | None)
    ] = None
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def settings(self) -> dict[str, Any]:
        """The fields of `GenerationSettings` that the client set, logprobs excepted."""
        given = {name: getattr(self, name) for name in SAMPLING_SETTINGS}
        if given["top_k"] == -1:
            given["top_k"] = 0
        if given["logit_bias"] is not None:
            given["logit_bias"] = {int(key): bias for key, bias in given["logit_bias"].items()}
        given["stop"] = None if self.stop is None else tuple(self.stop)
        return {name: value for name, value in given.items() if value is not None}

    def choice_seeds(self) -> list[int | None]:
        """A seed for each of the n choices: they differ, and each can be had alone."""
        n, seed = self.n or 1, self.settings().get("seed")
        return [None] * n if seed is None else [seed + i for i in range(n)]

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk of its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)
