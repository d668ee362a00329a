"""Offsets find a continuation's tokens, whatever the tokenizer merges with the prompt's end."""

import pytest

from openk2.eval.loglikelihood import echoed_loglikelihood
from openk2.generation import EndpointError


def scored(*tokens: tuple[str, float | None]) -> dict[str, list[object]]:
    """Log-probabilities of tokens with the offsets at which they begin."""
    offsets, total = [], 0
    for text, _ in tokens:
        offsets.append(total)
        total += len(text)
    return {"token_logprobs": [score for _, score in tokens], "text_offset": [*offsets]}


def test_tokens_of_the_continuation_are_summed() -> None:
    logprobs = scored(("Sum", None), (": ", -5.0), ("1", -0.5), ("2", -0.25))
    assert echoed_loglikelihood(logprobs, "Sum: ", "12") == -0.75


def test_a_token_across_the_boundary_counts_whole() -> None:
    """As lm-eval's, which moves the prompt's last space into the continuation."""
    logprobs = scored(("Answer", None), (":", -3.0), (" A", -0.5))
    assert echoed_loglikelihood(logprobs, "Answer: ", "A") == -0.5
    assert echoed_loglikelihood(logprobs, "Answer:", " A") == -0.5


def test_a_generated_token_after_the_echo_does_not_count() -> None:
    logprobs = scored(("Answer:", None), (" A", -0.5), (" because", -9.0))
    assert echoed_loglikelihood(logprobs, "Answer:", " A") == -0.5


def test_the_pieces_of_a_character_count_with_it() -> None:
    """Three tokens make the prompt's last character, and two the continuation's only one."""
    logprobs = {
        "token_logprobs": [None, -1.0, -1.0, -0.5, -0.25],
        "text_offset": [0, 0, 0, 1, 1],
    }
    assert echoed_loglikelihood(logprobs, "中", "文") == -0.75


def test_a_server_without_offsets_or_scores_is_refused() -> None:
    with pytest.raises(EndpointError, match="text_offset"):
        echoed_loglikelihood({"token_logprobs": [None, -1.0]}, "a", "b")
    with pytest.raises(EndpointError, match="scored no token of 'b'"):
        echoed_loglikelihood({"token_logprobs": [None], "text_offset": [0]}, "a", "b")
