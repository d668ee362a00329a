"""`Request`: one prompt on its way through the engine."""

from dataclasses import dataclass, field
from random import Random

from openk2.protocol import FinishReason, SamplingParams


@dataclass(eq=False)
class Request:
    """What was asked, what was made of it so far, and the pages it holds.

    stored: how many of its tokens (prompt, then output) have their latents in the cache. The
        others are `pending`: the next step feeds them to the model.
    pages: cache pages in the order of the tokens; empty while the request waits.
    draws: the request's own uniform numbers, so that a seeded output does not depend on which
        requests happen to share its steps. Python's generator costs 0.1 us a number, where a
        torch.Generator costs 3 us, and it gives the same numbers for every device.
    """

    prompt: tuple[int, ...]
    params: SamplingParams
    output: list[int] = field(default_factory=list)
    stored: int = 0
    pages: list[int] = field(default_factory=list)
    draws: Random = field(init=False)

    def __post_init__(self) -> None:
        self.draws = Random(self.params.seed)

    @property
    def reach(self) -> int:
        """Tokens it may hold at its end: prompt plus max_tokens."""
        return len(self.prompt) + self.params.max_tokens

    @property
    def pending(self) -> list[int]:
        """Tokens whose latents are not stored yet."""
        past = self.stored - len(self.prompt)
        return self.output[past:] if past >= 0 else [*self.prompt[self.stored :], *self.output]

    def accept(self, token: int) -> FinishReason | None:
        """Append a generated token; the reason if it is the last one."""
        self.output.append(token)
        if token in self.params.stop_token_ids:
            return "stop"
        return "length" if len(self.output) == self.params.max_tokens else None
