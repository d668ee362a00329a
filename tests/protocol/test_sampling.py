"""Sampling settings: their defaults, their bounds, and what differs from the defaults."""

import math
import re

import pytest

from openk2.protocol import SAMPLING_SETTINGS, Bounds, Sampling, SamplingParams, bounds_of

BOUNDED = [name for name in SAMPLING_SETTINGS if bounds_of(name) is not None]


@pytest.mark.parametrize("name", BOUNDED)
def test_a_value_out_of_bounds_is_refused_with_the_name_of_its_setting(name):
    bounds = bounds_of(name)
    # A seed has 64 bits: as a float, its bound and 0.1 less are the same number.
    step = 0.1 if isinstance(getattr(Sampling(), name), float) else 1
    beyond = [] if bounds.least is None else [bounds.least - step]
    beyond += [] if bounds.most is None else [bounds.most + step]
    beyond += [] if bounds.above is None else [bounds.above]
    beyond += [math.nan] if isinstance(getattr(Sampling(), name), float) else []
    for value in beyond:
        with pytest.raises(ValueError, match=f"{name} is .*: it must be {bounds}"):
            SamplingParams(max_tokens=1, **{name: value})


@pytest.mark.parametrize("name", BOUNDED)
def test_the_inclusive_bounds_and_the_default_are_allowed(name):
    bounds = bounds_of(name)
    for value in (bounds.least, bounds.most, getattr(Sampling(), name)):
        if value is not None:
            assert getattr(SamplingParams(max_tokens=1, **{name: value}), name) == value


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("value", [None, True, "1", [1], 1j])
def test_a_setting_that_is_no_number_is_refused_with_its_name_and_value(name, value):
    if name == "seed" and value is None:
        return
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r}: it must be an int")):
        SamplingParams(max_tokens=1, **{name: value})


@pytest.mark.parametrize("name", ["max_tokens", "logprobs", "prompt_logprobs", "top_k", "seed"])
@pytest.mark.parametrize("value", [True, 5.5, 5.0, "5", math.nan])
def test_a_count_must_be_an_int(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}: it must be an int"):
        SamplingParams(**{"max_tokens": 1, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("logit_bias", None),
        ("logit_bias", [1]),
        ("stop_token_ids", 2),
        ("stop_token_ids", ""),
        ("stop_token_ids", ["</s>"]),
        ("owner", []),
    ],
)
def test_a_setting_of_another_type_is_refused_with_its_name(name, value):
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r}: it must ")):
        SamplingParams(max_tokens=1, **{name: value})


@pytest.mark.parametrize("bias", [{"3": 1.0}, {3: "1"}, {3: None}, {3: True}, {True: 1.0}])
def test_a_bias_is_a_number_of_an_id(bias):
    with pytest.raises(ValueError, match="logit_bias"):
        SamplingParams(max_tokens=1, logit_bias=bias)


def test_bounds_are_written_as_a_sentence_needs_them():
    assert str(Bounds(least=0, most=2)) == "between 0 and 2"
    assert str(Bounds(above=0, most=1)) == "above 0 and at most 1"
    assert str(Bounds(least=0)) == "at least 0"


@pytest.mark.parametrize("bias", [math.inf, -math.inf, math.nan])
def test_a_bias_must_be_finite(bias):
    with pytest.raises(ValueError, match="logit_bias of id 3 is"):
        SamplingParams(max_tokens=1, logit_bias={3: bias})


def test_only_a_request_that_scores_its_prompt_may_ask_for_no_tokens():
    with pytest.raises(ValueError, match="max_tokens is 0: it must be at least 1"):
        SamplingParams(max_tokens=0)
    assert SamplingParams(max_tokens=0, prompt_logprobs=0).max_tokens == 0


@pytest.mark.parametrize("name", ["logprobs", "prompt_logprobs"])
@pytest.mark.parametrize("count", [-1, 21])
def test_the_number_of_logprobs_is_bounded(name, count):
    with pytest.raises(ValueError, match=f"{name} is {count}: it must be between 0 and 20"):
        SamplingParams(max_tokens=1, **{name: count})


def test_changed_lists_what_differs_and_nothing_of_a_subclass():
    assert SamplingParams(max_tokens=1, logprobs=3).changed() == {}
    params = SamplingParams(max_tokens=1, top_k=3, seed=0, logit_bias={1: 2.0})
    assert params.changed() == {"top_k": 3, "seed": 0, "logit_bias": {1: 2.0}}
