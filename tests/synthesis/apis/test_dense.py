"""Many requests in a row: every call is one of a few tools, asked for in its own words."""

import json
from collections import Counter
from itertools import chain, pairwise
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


def test_every_call_is_valid_and_says_what_the_user_said() -> None:
    kinds = Counter(kind for conversation in SAMPLE for kind in conversation["kinds"])
    assert {"single", "missing", "parallel", "refused", "talk"} <= set(kinds)
    assert kinds["single"] > kinds.total() / 3
    for conversation in SAMPLE:
        schemas = {
            t["function"]["name"]: t["function"]["parameters"] for t in conversation["tools"]
        }
        messages = conversation["messages"]
        said, number = "", 0
        for message in messages:
            said += f"\n{message['content']}" if message["role"] == "user" else ""
            for call in message.get("tool_calls", ()):
                function = call["function"]
                assert call["id"] == f"functions.{function['name']}:{number}"
                number += 1
                arguments = json.loads(function["arguments"])
                jsonschema.validate(arguments, schemas[function["name"]])
                stated = schemas[function["name"]]["properties"]
                for key, value in arguments.items():
                    if isinstance(value, str) and "enum" not in stated[key]:
                        assert value in said
        assert len(conversation["kinds"]) == sum(m["role"] == "assistant" for m in messages)
        render(messages, conversation["tools"], generation_prompt=False)


def test_a_question_for_a_missing_argument_is_followed_by_its_call() -> None:
    asked = 0
    for conversation in SAMPLE:
        turns = [m for m in conversation["messages"] if m["role"] == "assistant"]
        for turn, after, kind in zip(turns, turns[1:], conversation["kinds"], strict=False):
            if kind == "missing":
                assert not turn.get("tool_calls")
                assert len(after["tool_calls"]) == 1
                asked += 1
    assert asked > 20


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

    def untold(conversation: dict[str, object]) -> bool:
        roles = [message["role"] for message in conversation["messages"]]  # type: ignore[attr-defined]
        return ("tool", "user") in pairwise(roles)

    dense = [conversation for conversation in made(0.5) if untold(conversation)]
    assert 70 < len(dense) < 130
    rng = Random("3/train/7")
    assert rng.random() < 1
    assert made(0.0)[7] == make_conversation(rng, "train", CATALOGUE)
