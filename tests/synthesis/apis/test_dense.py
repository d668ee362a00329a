"""Many requests in a row: every call is one of a few tools, asked for in its own words."""

import json
from itertools import chain
from random import Random

import jsonschema

from openk2.chat import render
from openk2.synthesis import generate
from openk2.synthesis.apis import Catalogue, make_conversation, make_dense
from openk2.synthesis.apis.dense import MOST_TOOLS
from openk2.synthesis.apis.openapi import read_openapi

from .descriptions import made_up_service

CATALOGUE = Catalogue(chain.from_iterable(read_openapi(made_up_service(n), "x") for n in range(40)))
SAMPLE = [make_dense(Random(f"{i}"), "train", CATALOGUE) for i in range(150)]


def test_every_request_is_followed_by_one_valid_call_and_its_result() -> None:
    for conversation in SAMPLE:
        schemas = {
            t["function"]["name"]: t["function"]["parameters"] for t in conversation["tools"]
        }
        messages = conversation["messages"]
        assert [m["role"] for m in messages] == ["user", "assistant", "tool"] * (len(messages) // 3)
        assert conversation["kinds"] == ["single"] * (len(messages) // 3)
        for number, (asked, said, _) in enumerate(zip(*[iter(messages)] * 3, strict=True)):
            (call,) = said["tool_calls"]
            function = call["function"]
            assert call["id"] == f"functions.{function['name']}:{number}"
            arguments = json.loads(function["arguments"])
            jsonschema.validate(arguments, schemas[function["name"]])
            stated = schemas[function["name"]]["properties"]
            for key, value in arguments.items():
                if isinstance(value, str) and "enum" not in stated[key]:
                    assert value in asked["content"]
        render(messages, conversation["tools"], generation_prompt=False)


def test_several_tools_are_declared_and_each_place_is_called() -> None:
    places = set()
    for conversation in SAMPLE:
        names = [tool["function"]["name"] for tool in conversation["tools"]]
        assert 2 <= len(set(names)) == len(names) <= MOST_TOOLS
        for message in conversation["messages"]:
            for call in message.get("tool_calls", ()):
                places.add(names.index(call["function"]["name"]))
    assert places == set(range(MOST_TOOLS))


def test_the_share_of_dense_conversations_is_as_asked_and_none_by_default() -> None:
    def made(share: float) -> list[dict[str, object]]:
        return list(
            generate(3, 200, "train", catalogue=CATALOGUE, api_share=1.0, dense_share=share)
        )

    dense = [c for c in made(0.5) if len(c["kinds"]) > 2 and set(c["kinds"]) == {"single"}]  # type: ignore[arg-type]
    assert 70 < len(dense) < 130
    rng = Random("3/train/7")
    assert rng.random() < 1
    assert made(0.0)[7] == make_conversation(rng, "train", CATALOGUE)
