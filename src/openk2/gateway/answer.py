"""`Answer`: one answer of upstreams on its way."""

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
    """One request on its way.

    ids: taken so far. received: whether any came from an upstream. guided: how many were taken when
    an upstream was last told what to obey.
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
        """Tokens that may still come."""
        return self.params.max_tokens - len(self.ids)

    def next_schema(self) -> JsonSchema | None:
        """Of the value that begins here, if it is guided from its beginning."""
        return self.mask.next_schema() if isinstance(self.mask, GuidedMask) else None

    def guidance(self, upstream: Upstream) -> list[dict[str, Any]]:
        """The ways to tell the upstream what is missing of the value that the output is in.

        None where being told in this very place did not help: an id was refused all the same, or
        the upstream failed, perhaps over that.
        """
        told = self.guided == len(self.ids)
        useless = told and (self.walk.went_wrong or self.failed[upstream] > 0)
        if useless or not isinstance(self.mask, GuidedMask):
            return []
        return guidance(upstream.owner, self.mask.remainder(), self.mask.next_schema())

    @property
    def can_resume(self) -> bool:
        """Whether another upstream may go on with it. With a seed it would be another answer, and
        penalties are counted from where a request begins."""
        params = self.params
        resumable = params.seed is None and not (
            params.presence_penalty or params.frequency_penalty
        )
        return resumable or not self.received
