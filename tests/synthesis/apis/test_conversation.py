"""What every conversation on API operations holds, whatever its kind."""

import functools
import json
import re
from collections import Counter
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, get_args

import jsonschema
import pytest

from openk2.chat import render
from openk2.synthesis import generate
from openk2.synthesis.apis import (
    Catalogue,
    CatalogueError,
    Operation,
    make_conversation,
    split_of,
)
from openk2.synthesis.apis.catalogue import overlaps, purpose
from openk2.synthesis.apis.conversation import write_dialogue
from openk2.synthesis.apis.dialogue import ApiDialogue, Kind
from openk2.synthesis.apis.openapi import read_openapi
from openk2.synthesis.values import Split

from .descriptions import made_up_service

OPERATIONS: list[Operation] = list(
    chain.from_iterable(read_openapi(made_up_service(n), "x") for n in range(60))
)
SPLITS: tuple[Split, ...] = ("train", "held_out")
CATALOGUES = {s: Catalogue(o for o in OPERATIONS if split_of(o.provider) == s) for s in SPLITS}
SAMPLE = {
    split: [make_conversation(Random(f"{split}{i}"), split, CATALOGUES[split]) for i in range(600)]
    for split in SPLITS
}
EVERY = [c for split in SPLITS for c in SAMPLE[split]]


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


def assistant_turns(conversation: dict[str, Any]) -> list[tuple[str, dict[str, Any], str, str]]:
    """Kind, message, all the text before it, and the results just before it."""
    found, before, results, kinds = [], "", "", iter(conversation["kinds"])
    for message in conversation["messages"]:
        if message["role"] == "assistant":
            found.append((next(kinds), message, before, results))
        results = f"{results}\n{message['content']}" if message["role"] == "tool" else ""
        before = f"{before}\n{message['content']}"
    assert next(kinds, None) is None
    return found


def test_a_conversation_is_determined_by_its_seed_alone() -> None:
    for split in SPLITS:
        again = [make_conversation(Random(f"{split}{i}"), split, CATALOGUES[split])
                 for i in range(20, 40)]  # fmt: skip
        assert again == SAMPLE[split][20:40]


def test_kinds_stand_beside_every_assistant_turn_and_all_are_common() -> None:
    count = Counter(kind for c in EVERY for kind, *_ in assistant_turns(c))
    assert count.keys() == set(get_args(Kind))
    assert min(count[kind] for kind in count) > 0.01 * count.total()


@functools.cache
def strict_validator(schema: str) -> Any:
    """Of a schema, as JSON text, without other arguments. Many conversations have the same."""
    jsonschema.Draft202012Validator.check_schema(json.loads(schema))
    strict = {**json.loads(schema), "additionalProperties": False}
    return jsonschema.Draft202012Validator(strict)


def test_calls_validate_against_their_declared_schemas() -> None:
    for conversation in EVERY:
        validators = {
            tool["function"]["name"]: strict_validator(json.dumps(tool["function"]["parameters"]))
            for tool in conversation["tools"]
        }
        assert len(validators) == len(conversation["tools"]) <= 12
        for _, message, *_ in assistant_turns(conversation):
            for call in message.get("tool_calls", ()):
                arguments = json.loads(call["function"]["arguments"])
                # The keys of a rendered declaration are sorted.
                assert list(arguments) == sorted(arguments)
                validators[call["function"]["name"]].validate(arguments)


def test_every_argument_stands_in_the_history() -> None:
    for conversation in EVERY:
        for _, message, before, _ in assistant_turns(conversation):
            for call in message.get("tool_calls", ()):
                for value in leaves(json.loads(call["function"]["arguments"])):
                    said = {str(value), str(value).replace("_", " ").lower()}
                    assert isinstance(value, bool) or any(s in before for s in said), value


def test_every_number_and_code_that_an_answer_tells_stands_in_the_results() -> None:
    told = 0
    for conversation in EVERY:
        for kind, message, _, results in assistant_turns(conversation):
            if kind == "answer":
                assert results
                for word in re.findall(r"[\w.-]*\d[\w.-]*\w|\d", message["content"]):
                    lead = rf"\b{re.escape(word)} [a-z ]+:|For [^:]*{re.escape(word)}"
                    named = re.search(lead, message["content"])
                    assert word in results or named, (word, message["content"], results)
                    told += 1
    assert told > 500


def test_names_are_ones_that_the_api_allows() -> None:
    for conversation in EVERY:
        for tool in conversation["tools"]:
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tool["function"]["name"])
            for name in tool["function"]["parameters"]["properties"]:
                assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)


def test_ids_count_through_the_conversation_and_results_follow_their_calls() -> None:
    for conversation in EVERY:
        number, waiting = 0, []
        for message in conversation["messages"]:
            if message["role"] == "tool":
                assert message["tool_call_id"] == waiting.pop(0)
                continue
            assert not waiting
            for call in message.get("tool_calls", []):
                assert call["id"] == f"functions.{call['function']['name']}:{number}"
                waiting.append(call["id"])
                number += 1


def test_calls_stand_where_the_kind_says_and_nowhere_else() -> None:
    never = {"refused", "none_needed", "answer", "talk"}
    for conversation in EVERY:
        for kind, message, *_ in assistant_turns(conversation):
            calls = message.get("tool_calls", ())
            assert not (kind in never and calls)
            assert len(calls) == 1 or kind not in ("single", "sequence")
            assert not (calls and kind in ("missing", "ambiguous", "error"))
            assert kind != "parallel" or len(calls) > 1


def test_texts_are_filled_in_and_the_whole_can_be_rendered() -> None:
    for conversation in EVERY:
        for message in conversation["messages"]:
            if message["role"] in ("user", "assistant"):
                assert not re.search(r"[{}]|  | [.,]", message["content"]), message["content"]
                assert message["content"] == message["content"].strip()
                assert message["content"] or message.get("tool_calls")
        assert conversation["messages"][-1]["role"] == "assistant"
        render(conversation["messages"], conversation["tools"], generation_prompt=False)


def test_what_is_refused_no_declared_tool_does() -> None:
    dialogues = [write_dialogue(Random(f"d{i}"), "train", CATALOGUES["train"]) for i in range(400)]
    assert sum(bool(dialogue.absent) for dialogue in dialogues) > 40
    for dialogue in dialogues:
        for refused in dialogue.absent:
            assert all(not overlaps(refused, purpose(t.operation)) for t in dialogue.tools)
        marks = [purpose(tool.operation) for tool in dialogue.tools]
        assert len(set(marks)) == len(marks)


def test_no_tool_stands_beside_a_question_that_it_might_answer() -> None:
    capital = Operation("atlas.test", "getCapital", "get", "country capital", "", (), (), False)
    rivers = Operation("atlas.test", "listRivers", "list", "rivers", "", (), (), False)
    question = "What is the capital of Peru?"
    asked = ApiDialogue(Random(0), "train", CATALOGUES["train"])
    assert asked.forbid(question)
    assert not asked.admits(capital)
    assert asked.admits(rivers)
    declared = ApiDialogue(Random(0), "train", CATALOGUES["train"])
    assert declared.add(capital)
    assert not declared.forbid(question)


def test_held_out_are_whole_providers_about_a_tenth_of_them() -> None:
    providers = [{o.provider for o in OPERATIONS if split_of(o.provider) == s} for s in SPLITS]
    assert providers[0].isdisjoint(providers[1])
    share = sum(split_of(f"provider{n}.test") == "held_out" for n in range(5000)) / 5000
    assert 0.08 < share < 0.12
    assert split_of("service1.test") == split_of("service1.test")


def test_a_file_of_operations_is_read_by_split_and_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "apis.jsonl"
    path.write_text("".join(json.dumps(o.row()) + "\n" for o in OPERATIONS))
    for split in SPLITS:
        assert Catalogue.load(path, split).by_provider == CATALOGUES[split].by_provider
    path.write_text(json.dumps({"provider": "service0.test"}) + "\n")
    with pytest.raises(CatalogueError, match="line 1"):
        Catalogue.load(path, split_of("service0.test"))
    path.write_text("")
    with pytest.raises(CatalogueError, match="no operation"):
        Catalogue.load(path, "train")


def test_the_mixture_keeps_the_rule_made_ones_and_follows_the_share() -> None:
    catalogue = CATALOGUES["train"]
    mixed = list(generate(3, 300, catalogue=catalogue, api_share=0.5))
    assert mixed[100:] == list(generate(3, 200, start=100, catalogue=catalogue, api_share=0.5))
    assert any("ambiguous" in c["kinds"] for c in mixed)
    assert all("ambiguous" not in c["kinds"] for c in generate(3, 300))
