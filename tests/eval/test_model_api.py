"""Completions are continued and scored as the protocol asks, and faults are errors or retries."""

import asyncio
from typing import Any

import httpx
import pytest
from inspect_ai.model import ChatMessageUser, GenerateConfig, ModelOutput

from openk2.eval.endpoint import endpoints
from openk2.eval.model_api import CompletionsAPI, ModelAddress
from openk2.generation import EndpointError

from .made_up import fake_server


def ask(url: str, prompt: str, **config: Any) -> ModelOutput:
    async def asked() -> ModelOutput:
        api = CompletionsAPI("fake", f"{url}/v1", "key")
        try:
            message = ChatMessageUser(content=prompt)
            return await api.generate([message], [], "none", GenerateConfig(**config))
        finally:
            await api.aclose()

    return asyncio.run(asked())


def test_a_prompt_is_continued_with_the_settings_of_the_row() -> None:
    with fake_server(lambda prompt, body: " four") as server:
        output = ask(server.url, "2+2 is", max_tokens=9, temperature=0, seed=5, stop_seqs=["\n"])
    assert output.completion == " four"
    assert output.usage is not None
    assert output.usage.input_tokens == 5
    assert server.bodies == [
        {
            "model": "fake", "prompt": "2+2 is", "max_tokens": 9, "temperature": 0.0, "seed": 5,
            "stop": ["\n"],
        }
    ]  # fmt: skip


def test_the_likeliest_continuation_is_picked_in_one_request() -> None:
    with fake_server(lambda prompt, body: "C") as server:
        output = ask(server.url, "Answer:", extra_body={"continuations": [" A", " B", " C"]})
    assert output.completion == " C"
    assert output.metadata == {"loglikelihoods": [-1.5, -1.25, -1.0]}
    (body,) = server.bodies
    assert body["prompt"] == ["Answer: A", "Answer: B", "Answer: C"]
    assert (body["echo"], body["max_tokens"]) == (True, 0)


def refuse(message: str) -> Any:
    def answer(prompt: str, body: dict[str, Any]) -> str:
        raise ConnectionRefusedError(message)

    return answer


def test_a_prompt_that_does_not_fit_is_a_wrong_answer_and_no_error() -> None:
    with fake_server(refuse("This model's maximum context length is 4096 tokens")) as server:
        output = ask(server.url, "long", max_tokens=5)
    assert (output.completion, output.stop_reason) == ("", "model_length")


def test_what_a_server_refuses_is_an_error_that_is_not_tried_again() -> None:
    with fake_server(refuse("echo is off")) as server, pytest.raises(EndpointError) as raised:
        ask(server.url, "x", max_tokens=5)
    assert str(raised.value) == "HTTP 400: echo is off"
    api = CompletionsAPI("fake", "http://127.0.0.1:1/v1")
    assert not api.should_retry(raised.value)
    assert api.should_retry(EndpointError("busy", 503))
    assert api.should_retry(httpx.ReadError("gone"))


def test_an_endpoint_is_found_by_its_first_model_or_by_name() -> None:
    with fake_server() as server, endpoints() as opened:
        server.card["max_model_len"] = 77
        first = opened.open(server.url, "key")
        assert first == ModelAddress(server.url, "fake", "key")
        assert opened.open(f"{server.url}/v1#fake").model == "fake"
        assert opened.contexts[first] == 77
        with pytest.raises(EndpointError, match="has no model 'k2': it has fake"):
            opened.open(f"{server.url}#k2")
    with endpoints() as opened, pytest.raises(EndpointError, match="cannot reach"):
        opened.open("http://127.0.0.1:1")
