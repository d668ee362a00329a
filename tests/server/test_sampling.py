"""A sampling setting is declared in `Sampling` alone, and every way in and out carries it.

The values come from the declaration, so a setting that is added to `Sampling` and forgotten
somewhere else fails here without a change to this file.
"""

import pytest

from openk2.gateway.body import fields as upstream_fields
from openk2.generation import ChatRequest, CompletionRequest
from openk2.generation.http_request import request_body
from openk2.protocol import SAMPLING_SETTINGS, Sampling, SamplingParams, bounds_of
from openk2.server.anthropic.body import MessagesBody
from openk2.server.errors import ApiError
from openk2.server.openai.chat import ChatCompletionBody
from openk2.server.openai.completions import CompletionBody
from openk2.server.thoughts import ThoughtSigner

SIGNER = ThoughtSigner()

MESSAGES = [{"role": "user", "content": "hi"}]
UNBOUNDED = {"seed": 7, "logit_bias": {5: -1.5}}  # settings that are not a number with bounds


def some_value(name):
    """A value of the setting that is not its default, and allowed everywhere."""
    if name in UNBOUNDED:
        return UNBOUNDED[name]
    bounds = bounds_of(name)
    assert bounds is not None, f"{name} has neither bounds nor a value here"
    low = bounds.above if bounds.least is None else bounds.least
    high = low + 8 if bounds.most is None else bounds.most
    kind = type(getattr(Sampling(), name))
    value = kind(low + (high - low) / 8 * 3)
    assert value != getattr(Sampling(), name)
    return value


def in_json(name):
    value = some_value(name)
    return {str(key): one for key, one in value.items()} if isinstance(value, dict) else value


@pytest.fixture(params=SAMPLING_SETTINGS)
def name(request):
    return request.param


@pytest.mark.parametrize("kind", [ChatRequest, CompletionRequest])
def test_a_request_hands_every_setting_to_the_token_generator(kind, name):
    request = kind(MESSAGES if kind is ChatRequest else "hi", **{name: some_value(name)})
    params = request.sampling(max_tokens=5, stop_token_ids=frozenset(), vocab_size=512)
    assert getattr(params, name) == some_value(name)
    assert params.changed() == {name: some_value(name)}


@pytest.mark.parametrize("route", ["chat", "completions"])
def test_openai_bodies_read_every_setting(route, name):
    fields = {"model": "m", name: in_json(name)}
    if route == "chat":
        body = ChatCompletionBody(messages=MESSAGES, **fields)
    else:
        body = CompletionBody(prompt="hi", **fields)
    (request,) = body.requests()
    assert request.changed() == {name: some_value(name)}


def test_a_message_body_reads_a_setting_or_refuses_it(name):
    body = MessagesBody(model="m", max_tokens=5, messages=MESSAGES, **{name: in_json(name)})
    if name in MessagesBody.model_fields:
        scale = 0.6 if name == "temperature" else 1
        assert getattr(body.generation(SIGNER), name) == pytest.approx(some_value(name) * scale)
    else:
        with pytest.raises(ApiError, match=name):
            body.generation(SIGNER)


def test_a_message_body_allows_a_setting_that_is_off(name):
    off = getattr(Sampling(), name)
    body = MessagesBody(model="m", max_tokens=5, messages=MESSAGES, **{name: off})
    assert body.generation(SIGNER).max_tokens == 5


def test_the_http_client_sends_every_setting_that_is_set(name):
    body = request_body("m", ChatRequest(MESSAGES, **{name: some_value(name)}))
    assert body[name] == in_json(name)
    assert set(SAMPLING_SETTINGS) & set(body) == {"temperature", "top_p", name}


@pytest.mark.parametrize("owner", [None, "vllm", "sglang"])
def test_an_upstream_is_sent_every_setting(owner, name):
    params = SamplingParams(max_tokens=5, **{name: some_value(name)})
    body = upstream_fields("m", [1], params, owner=owner, max_tokens=5, bias={})
    assert body[name] == in_json(name)
