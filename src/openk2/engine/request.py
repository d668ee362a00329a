"""`Request`: one prompt on its way through the engine."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from openk2.engine.prefix_tree import Node
from openk2.protocol import FinishReason, SamplingParams, TokenLogprobs, TokenMask


@dataclass(eq=False)
class Request:
    """What was asked, what was made of it so far, and the pages it holds.

    mask: constrains the output.
    tokens: the prompt, then the output.
    stored: how many of them have their latents in the cache. The others are pending: coming steps
        feed them to the model.
    pages: cache pages in the order of the tokens; empty while the request waits.
    shared: the nodes of the prefix tree that its first pages belong to.
    cached: prompt tokens that were found in the cache when it first ran.
    draws: the request's own uniform numbers, so that a seeded output does not depend on which
        requests happen to share its steps. Python's generator costs 0.1 us a number, where a
        torch.Generator costs 3 us, and it gives the same numbers for every device.
    """

    prompt: tuple[int, ...]
    params: SamplingParams
    mask: TokenMask | None = None
    tokens: list[int] = field(init=False)
    counts: Counter[int] = field(default_factory=Counter)
    stored: int = 0
    pages: list[int] = field(default_factory=list)
    shared: list[Node] = field(default_factory=list)
    cached: int | None = None
    prompt_scores: list[TokenLogprobs | None] = field(default_factory=list)
    draws: Random = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)
        self.draws = Random(self.params.seed)

    @property
    def output(self) -> list[int]:
        """The ids that were generated."""
        return self.tokens[len(self.prompt) :]

    @property
    def generated(self) -> int:
        """How many."""
        return len(self.tokens) - len(self.prompt)

    @property
    def reach(self) -> int:
        """Tokens it may hold at its end: prompt plus max_tokens."""
        return len(self.prompt) + self.params.max_tokens

    @property
    def pending(self) -> int:
        """How many tokens have no latents yet; at least one while it runs."""
        return len(self.tokens) - self.stored

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt's own log-probabilities are asked for, so all of it is computed."""
        return self.params.prompt_logprobs is not None and not self.generated

    def accept(self, token: int) -> FinishReason | None:
        """Append a generated token; the reason if it is the last one."""
        self.tokens.append(token)
        self.counts[token] += 1
        if token in self.params.stop_token_ids:
            return "stop"
        return "length" if self.generated == self.params.max_tokens else None
