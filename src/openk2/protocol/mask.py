"""`TokenMask`: which tokens an output may continue with, as a token generator sees it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TokenMask(Protocol):
    """Constrains the output of one request; the sampler calls it before every token.

    Both methods may be called from any thread, one thread at a time.
    """

    def fill(self, allowed: NDArray[np.int32]) -> bool:
        """Write which ids may come next: bit i % 32 of word i // 32 is set if id i may.

        allowed: int32 [ceil(V / 32)], any content on entry. Returns False, leaving the words
        unchanged, if every id is allowed. At least one id is always allowed.
        """
        ...

    def accept(self, token_id: int) -> bool:
        """Append the chosen id. Returns False if the id is refused after all: call `fill` again
        and choose from the new words; an id chosen from those is accepted.

        A mask does not know the token limit: an output that reaches it stops where it is.
        Where only one text may follow, `fill` allows the tokenizer's own ids for it, but other ids
        that spell the same text are accepted too.
        Raises ValueError if no valid output starts this way; the state is unchanged.
        """
        ...
