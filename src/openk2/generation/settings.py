"""`GenerationSettings`: what requests of every kind say about how to generate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from openk2.generation.request_error import RequestError
from openk2.protocol import SamplingParams


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How the next token is chosen, and which text ends the output.

    stop: strings that end the output where its text holds one; the text stops before it. Of a chat
        answer only the content is searched, never a call.
    logprobs: None, or how many likeliest tokens to report beside each one.
    The others are as in `SamplingParams`.

    Raises RequestError for a stop that is no sequence of non-empty strings.
    """

    temperature: float = 0.6
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.stop, str) or not all(isinstance(s, str) and s for s in self.stop):
            raise RequestError(f"stop is {self.stop!r}: give non-empty strings, as a tuple", "stop")

    def sampling(
        self,
        *,
        max_tokens: int,
        stop_token_ids: frozenset[int],
        vocab_size: int,
        prompt_logprobs: int | None = None,
    ) -> SamplingParams:
        """The settings as a token generator takes them.

        Raises RequestError for a value out of range and for a bias of an id that does not exist.
        """
        for token_id in self.logit_bias:
            if not 0 <= token_id < vocab_size:
                message = f"logit_bias has id {token_id}: ids of this model are 0 to"
                raise RequestError(f"{message} {vocab_size - 1}", "logit_bias")
        try:
            return SamplingParams(
                max_tokens=max_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                min_p=self.min_p,
                presence_penalty=self.presence_penalty,
                frequency_penalty=self.frequency_penalty,
                repetition_penalty=self.repetition_penalty,
                logit_bias=self.logit_bias,
                logprobs=self.logprobs,
                prompt_logprobs=prompt_logprobs,
                seed=self.seed,
                stop_token_ids=stop_token_ids,
            )
        except ValueError as error:
            raise RequestError(str(error)) from error
