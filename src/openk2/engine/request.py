"""`Request`: one prompt on its way through the engine."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from openk2.engine.prefix_cache import PrefixNode
from openk2.protocol import FinishReason, SamplingParams, TokenLogprobs, TokenMask

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(eq=False)
class Request:
    """What was asked for, what was generated so far, and the pages it holds.

    mask: constrains the output.
    tokens: the prompt, then the output.
    token_counts: how often each id was generated.
    num_computed_tokens: how many of `tokens` have their latents in the cache; later steps feed the
        rest to the model.
    page_table: its cache pages, in the order of the tokens; empty while it waits.
    prefix_nodes: the prefix cache's nodes of its first pages.
    known_prefix: nodes that were found for it while it waits for the page after them.
    num_cached_tokens: prompt tokens found in the prefix cache when it first ran.
    prompt_ids: see `step.prompt_ids`.
    uniforms: its own random numbers, so that a seeded output does not depend on the other requests
        in a step. Python's generator costs 0.1 us a number, a torch.Generator 3 us, and it gives
        the same numbers for every device.
    """

    prompt: tuple[int, ...]
    params: SamplingParams
    mask: TokenMask | None = None
    tokens: list[int] = field(init=False)
    token_counts: Counter[int] = field(default_factory=Counter)
    num_computed_tokens: int = 0
    page_table: list[int] = field(default_factory=list)
    prefix_nodes: list[PrefixNode] = field(default_factory=list)
    known_prefix: list[PrefixNode] = field(default_factory=list)
    num_cached_tokens: int | None = None
    prompt_scores: list[TokenLogprobs | None] = field(default_factory=list)
    prompt_ids: "Tensor | None" = None
    uniforms: Random = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)
        seed = self.params.seed
        # Random takes a number's absolute value: -1 would give what 1 gives.
        self.uniforms = Random(None if seed is None else seed % 2**64)

    @property
    def owner(self) -> object:
        """Whose part of the batch it takes."""
        return self if self.params.owner is None else self.params.owner

    @property
    def num_output_tokens(self) -> int:
        """How many tokens were generated."""
        return len(self.tokens) - len(self.prompt)

    @property
    def max_length(self) -> int:
        """Prompt tokens plus max_tokens."""
        return len(self.prompt) + self.params.max_tokens

    @property
    def num_pending_tokens(self) -> int:
        """How many tokens are not computed yet; at least one while it runs."""
        return len(self.tokens) - self.num_computed_tokens

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt's own log-probabilities are wanted, so that all of it is computed."""
        return self.params.prompt_logprobs is not None and not self.num_output_tokens

    def append(self, token: int) -> FinishReason | None:
        """Append a generated token; returns the finish reason if it is the last one."""
        self.tokens.append(token)
        self.token_counts[token] += 1
        if token in self.params.stop_token_ids:
            return "stop"
        return "length" if self.num_output_tokens == self.params.max_tokens else None
