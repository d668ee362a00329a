"""A step is enforced to the end of the number, or refused before a token is generated."""

import random

import numpy as np
import pytest

from openk2.chat import Tokenizer
from openk2.grammar import Enforcer, GrammarError, JsonContent


@pytest.mark.parametrize("step", [7, 250, 997, 1_000, 2_000, 10_000, 0.25, 9.99])
@pytest.mark.parametrize("bounds", [{}, {"minimum": 1_234_567, "maximum": 7_654_321_098}])
def test_a_step_is_counted_to_the_end_or_refused(
    tokenizer: Tokenizer, step: float, bounds: dict[str, int]
) -> None:
    enforcer = Enforcer(tokenizer)
    demand = JsonContent({"type": "number", "multipleOf": step, **bounds})
    chooser = random.Random(1)
    for _ in range(2):
        try:
            mask = enforcer.mask(demand, max_tokens=100)
        except GrammarError:
            assert step > 900 or step == 9.99
            return
        words = np.zeros(-(-tokenizer.vocab_size // 32), dtype=np.int32)
        for _ in range(18):
            mask.fill(words)
            bits = np.unpackbits(words.view(np.uint8), bitorder="little")
            allowed = [token for token in np.flatnonzero(bits) if token < len(tokenizer.tokens)]
            if not allowed:
                break
            mask.accept(int(chooser.choice(allowed)))
