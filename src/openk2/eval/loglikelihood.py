"""How likely a model finds a text after a prompt, from the scores of both echoed together.

A token may begin in the prompt and end in the continuation, as ` A` does after a prompt that ends
in a space. lm-eval moves such a space into the continuation; here every token that reaches past the
prompt counts, which is the same rule without a tokenizer: text offsets tell where a token ends.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from openk2.generation import EndpointError


def echoed_loglikelihood(
    logprobs: Mapping[str, Any] | None, prompt: str, continuation: str
) -> float:
    """The summed log-probability of the continuation's tokens.

    logprobs: of the choice for `prompt + continuation`, with echo: lists `token_logprobs` and
    `text_offset` (characters), one entry a token.
    Raises EndpointError if the server sent no offsets, or no score of a token that counts.
    """
    if not logprobs or not logprobs.get("text_offset"):
        raise EndpointError("the server echoes no prompt logprobs with text_offset: use vLLM's")
    offsets: Sequence[int] = logprobs["text_offset"]
    scores: Sequence[float | None] = logprobs["token_logprobs"]
    begin = offsets[0]  # 0, unless the server counts a first token that is no text
    start, end = begin + len(prompt), begin + len(prompt) + len(continuation)
    counted = []
    for number, (offset, score) in enumerate(zip(offsets, scores, strict=True)):
        following = offsets[number + 1] if number + 1 < len(offsets) else math.inf
        # The pieces of one character share its offset: all of them count where it does.
        reaches = following > start or (following == offset and offset >= start)
        if offset < end and reaches:
            counted.append(score)
    if not counted or None in counted:
        raise EndpointError(f"the server scored no token of {continuation!r} after the prompt")
    return math.fsum(score for score in counted if score is not None)
