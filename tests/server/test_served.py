"""The names that a model answers to."""

import httpx
import pytest
from openai import NotFoundError

from openk2.generation import served_models

MODEL = "openk2-test"
MESSAGES = [{"role": "user", "content": "hi"}]
END = "«<|im_end|>»"


def test_aliases_answer_and_are_listed(client, scripted):
    openai = client(scripted(f"ok{END}"), aliases=["gpt-x", "org/other", MODEL])
    assert [model.id for model in openai.models.list()] == [MODEL, "gpt-x", "org/other"]
    for name in (MODEL, "gpt-x", "org/other"):
        assert openai.models.retrieve(name).id == name
        answer = openai.chat.completions.create(model=name, messages=MESSAGES)
        assert (answer.model, answer.choices[0].message.content) == (name, "ok")
        assert openai.completions.create(model=name, prompt="a").model == name
        chunks = openai.chat.completions.create(model=name, messages=MESSAGES, stream=True)
        assert {chunk.model for chunk in chunks} == {name}
    with pytest.raises(NotFoundError) as caught:
        openai.chat.completions.create(model="gpt-y", messages=MESSAGES)
    assert "'gpt-x'" in caught.value.message


def test_the_card_tells_the_context_length(serve, scripted):
    url = serve(scripted(END), aliases=["gpt-x"])
    cards = httpx.get(f"{url}/v1/models").json()["data"]
    assert [card["max_model_len"] for card in cards] == [4096, 4096]


def test_a_client_that_lists_models_counts_aliases_as_one(serve, scripted):
    url = serve(scripted(END), aliases=["gpt-x"])
    assert served_models(url) == [MODEL]


def test_aliases_hold_for_tokens_too(serve, scripted):
    url = serve(scripted(END), aliases=["gpt-x"])
    body = {"model": "gpt-x", "prompt": "hi"}
    assert httpx.post(f"{url}/tokenize", json=body, verify=False).json()["count"] == 2
