"""`GenerationSettings`: what chat and completion requests share."""

from dataclasses import dataclass

from openk2.generation.request_error import RequestError
from openk2.protocol import Sampling, SamplingParams


@dataclass(frozen=True, kw_only=True)
class GenerationSettings(Sampling):
    """How the next token is chosen (`Sampling`), and which text ends the output.

    stop: strings that end the output where its text contains one; the text stops before it. Only
        the content of a chat answer is searched, never a call.
    logprobs: None, or how many likeliest tokens to report beside each one.
    owner: as in `SamplingParams`.

    Raises RequestError if stop is not a sequence of non-empty strings, and for a number of another
    type than declared.
    """

    logprobs: int | None = None
    owner: str | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.stop, str) or not all(isinstance(s, str) and s for s in self.stop):
            raise RequestError(f"stop is {self.stop!r}: give non-empty strings, as a tuple", "stop")
        try:
            self.check_types()
        except ValueError as error:
            raise RequestError(str(error)) from error

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
                **self.settings(),
                max_tokens=max_tokens,
                logprobs=self.logprobs,
                prompt_logprobs=prompt_logprobs,
                owner=self.owner,
                stop_token_ids=stop_token_ids,
            )
        except ValueError as error:
            raise RequestError(str(error)) from error
