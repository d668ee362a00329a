"""`Answer`: the state of one answer while upstreams generate it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openk2.gateway.body import guidance
from openk2.gateway.guidance import GuidedMask
from openk2.gateway.mask_walk import MaskWalk
from openk2.gateway.upstream import Upstream
from openk2.grammar import JsonSchema
from openk2.protocol import FinishReason, SamplingParams, TokenMask


@dataclass
class Answer:
    """One request while it is answered.

    ids: accepted so far. received: whether any came from an upstream. guided: how many ids were
    accepted when a grammar or schema was last sent. repairs: refused ids so far. counted: whether
    cached tokens have been reported. failed: failures by upstream.
    """

    prompt: Sequence[int]
    params: SamplingParams
    mask: TokenMask | None
    walk: MaskWalk
    ids: list[int] = field(default_factory=list)
    received: bool = False
    guided: int | None = None
    repairs: int = 0
    counted: bool = False
    finish: FinishReason | None = None
    failed: Counter[Upstream] = field(default_factory=Counter)

    @property
    def left(self) -> int:
        """Tokens that may still be generated."""
        return self.params.max_tokens - len(self.ids)

    def next_schema(self) -> JsonSchema | None:
        """The schema of the value that starts here, if it is guided from its start."""
        return self.mask.next_schema() if isinstance(self.mask, GuidedMask) else None

    @property
    def is_spelt(self) -> bool:
        """Whether the next id belongs to a value that the mask spells by itself.

        An engine may spell it otherwise, after which a weak model repeats the call.
        """
        spelt = isinstance(self.mask, GuidedMask) and self.mask.spelt
        return spelt and self.params.logprobs is None and self.walk.only() is not None

    def guidance(self, upstream: Upstream) -> list[dict[str, Any]]:
        """The request fields that constrain the rest of the current value, most exact first.

        Empty if constraints sent at this same position did not help: an id was refused anyway, or
        the upstream failed, possibly because of them.
        """
        sent_here = self.guided == len(self.ids)
        useless = sent_here and (self.walk.went_wrong or self.failed[upstream] > 0)
        if useless or not isinstance(self.mask, GuidedMask):
            return []
        return guidance(upstream.owner, self.mask.remainder(), self.mask.next_schema())

    @property
    def can_resume(self) -> bool:
        """Whether another upstream may continue it.

        Not with a seed, which would give another answer, nor with penalties on the output, which
        an upstream counts from where its own request starts.
        """
        params = self.params
        resumable = params.seed is None and not (
            params.presence_penalty or params.frequency_penalty
        )
        return resumable or not self.received
