"""A request's own counts."""

from openk2.engine.request import Request
from openk2.protocol import SamplingParams


def test_counts_follow_the_tokens() -> None:
    request = Request((5, 6, 7), SamplingParams(max_tokens=3, stop_token_ids=frozenset({9})))
    assert (request.num_output_tokens, request.num_pending_tokens, request.max_length) == (0, 3, 6)
    request.num_computed_tokens = 3
    assert request.append(8) is None
    assert request.append(8) is None
    assert (request.num_output_tokens, request.num_pending_tokens) == (2, 2)
    assert request.tokens == [5, 6, 7, 8, 8]
    assert dict(request.token_counts) == {8: 2}


def test_a_stop_id_is_a_stop_even_where_it_is_the_last_token() -> None:
    for token, reason in ((9, "stop"), (8, "length")):
        request = Request((5,), SamplingParams(max_tokens=1, stop_token_ids=frozenset({9})))
        assert request.append(token) == reason


def test_equal_seeds_are_equal_numbers_and_the_prompt_is_not_changed() -> None:
    params = SamplingParams(max_tokens=9, seed=4)
    one, other = Request((1, 2), params), Request((1, 2), params)
    assert [one.uniforms.random() for _ in range(3)] == [other.uniforms.random() for _ in range(3)]
    assert one != other
    one.append(3)
    assert other.tokens == [1, 2]


def test_every_seed_of_64_bits_has_numbers_of_its_own() -> None:
    seeds = (-(2**63), 1 - 2**63, -1, 0, 1, 2**63 - 1)
    requests = [Request((1,), SamplingParams(max_tokens=9, seed=seed)) for seed in seeds]
    assert len({request.uniforms.random() for request in requests}) == len(seeds)


def test_a_prompt_is_scored_until_the_first_token_only() -> None:
    request = Request((1, 2), SamplingParams(max_tokens=2, prompt_logprobs=0))
    assert request.scores_prompt
    request.append(1)
    assert not request.scores_prompt
    assert not Request((1,), SamplingParams(max_tokens=2)).scores_prompt
