"""`ThoughtMask`: the mask of an answer that may begin with a thought.

What a request demands (a call, JSON) holds for the answer, not for the thought before it. In a
thought everything is free that is text; the demand begins where the thought ends, or at a call that
begins inside it.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from openk2.chat import THINK, THINK_END, Tokenizer
from openk2.protocol import TokenMask

Words = NDArray[np.int32]


class ThoughtMask:
    """The `TokenMask` of one answer.

    answer: the mask of what follows the thought; None if it is free. in_reasoning: whether the
    prompt has opened the thought; otherwise the answer may open one. budget: ids of the thought at
    most; then only its end is allowed.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        answer: TokenMask | None,
        *,
        in_reasoning: bool,
        budget: int | None = None,
    ) -> None:
        self._answer, self._budget = answer, budget
        self._ordinary = len(tokenizer.tokens)
        self._think, self._end = tokenizer.special(THINK), tokenizer.special(THINK_END)
        # What may end a thought without its marker, if the answer may begin so.
        openings = map(tokenizer.special, ("<|tool_calls_section_begin|>", "<|tool_call_begin|>"))
        self._leaving = frozenset({*openings, *tokenizer.stop_ids})
        self._used = 0
        self._inside = in_reasoning
        self._begun = in_reasoning  # whether it is settled that there is a thought, or none

    def fill(self, allowed: Words) -> bool:
        """See `TokenMask`."""
        if self._inside:
            return self._fill_thought(allowed)
        limited = self._answer is not None and self._answer.fill(allowed)
        if limited and not self._begun:
            allow(allowed, [self._think])
        return limited

    def _fill_thought(self, allowed: Words) -> bool:
        if self._budget is not None and self._used >= self._budget:
            allowed[:] = 0
            allow(allowed, [self._end])
            return True
        if self._answer is None or not self._answer.fill(allowed):
            return False
        leaving = [one for one in self._leaving if is_allowed(allowed, one)]
        allowed[:] = 0
        whole, rest = divmod(self._ordinary, 32)
        allowed[:whole] = -1
        allow(allowed, [*range(whole * 32, whole * 32 + rest), self._end, *leaving])
        return True

    def accept(self, token_id: int) -> bool:
        """See `TokenMask`."""
        if self._inside:
            return self._accept_thought(token_id)
        if not self._begun:
            self._begun = True
            if token_id == self._think:
                self._inside = True
                return True
        return self._answer is None or self._answer.accept(token_id)

    def _accept_thought(self, token_id: int) -> bool:
        if token_id == self._end:
            self._inside = False
            return True
        if self._budget is not None and self._used >= self._budget:
            raise ValueError(f"token {token_id} is beyond the budget of {self._budget} tokens")
        if token_id in self._leaving:
            taken = self._answer is None or self._answer.accept(token_id)
            self._inside = not taken
            return taken
        if token_id >= self._ordinary and self._answer is not None:
            raise ValueError(f"token {token_id} is not allowed in a thought")
        self._used += 1
        return True


def allow(words: Words, ids: Iterable[int]) -> None:
    """Set the bits of these ids."""
    bits = words.view(np.uint32)
    for token_id in ids:
        bits[token_id // 32] |= np.uint32(1 << token_id % 32)


def is_allowed(words: Words, token_id: int) -> bool:
    """Whether the bit of the id is set."""
    return bool(words.view(np.uint32)[token_id // 32] >> np.uint32(token_id % 32) & np.uint32(1))
