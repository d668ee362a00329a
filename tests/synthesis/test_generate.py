"""What every generated conversation holds, whatever its kind."""

import json
import sys
from itertools import islice
from subprocess import run
from typing import Any

import jsonschema
import pytest

from openk2.chat import render
from openk2.synthesis import generate
from openk2.synthesis.values import Split
from openk2.synthesis.vocabulary_train import TRAIN

SPLITS: tuple[Split, ...] = ("train", "held_out")
SAMPLE = {split: list(generate(11, 1000, split)) for split in SPLITS}
EVERY = [(split, c) for split in SPLITS for c in SAMPLE[split]]


def calls_with_history(conversation: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Every call with all the text that stands before it."""
    found, before = [], ""
    for message in conversation["messages"]:
        found += [(call, before) for call in message.get("tool_calls", [])]
        before += "\n" + message["content"]
    return found


def tool_names(split: Split) -> set[str]:
    return {t["function"]["name"] for c in SAMPLE[split] for t in c["tools"]}


def test_a_conversation_is_determined_by_seed_and_index_alone() -> None:
    assert list(generate(5, 30, "train")) == list(generate(5, 30, "train"))
    assert list(generate(5, 10, "train", start=20)) == list(generate(5, 30, "train"))[20:]
    assert list(islice(generate(5, None, "train"), 10)) == list(generate(5, 10, "train"))
    assert list(generate(6, 10, "train")) != list(generate(5, 10, "train"))


def test_every_call_validates_against_its_declared_tool() -> None:
    for _, conversation in EVERY:
        schemas = {
            t["function"]["name"]: t["function"]["parameters"] for t in conversation["tools"]
        }
        assert len(schemas) == len(conversation["tools"]) <= 6, "tool names repeat"
        for call, _ in calls_with_history(conversation):
            arguments = json.loads(call["function"]["arguments"])
            jsonschema.Draft202012Validator(schemas[call["function"]["name"]]).validate(arguments)


def test_declared_parameters_are_valid_json_schema() -> None:
    for _, conversation in EVERY[::12]:
        for tool in conversation["tools"]:
            jsonschema.Draft202012Validator.check_schema(tool["function"]["parameters"])


def test_argument_values_stand_in_the_dialogue_before_the_call() -> None:
    for _, conversation in EVERY:
        for call, before in calls_with_history(conversation):
            for value in json.loads(call["function"]["arguments"]).values():
                if isinstance(value, bool):
                    continue
                for item in value if isinstance(value, list) else [value]:
                    assert str(item) in before, (item, conversation)


def test_call_ids_count_through_the_conversation_and_results_follow_their_calls() -> None:
    for _, conversation in EVERY:
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
        assert not waiting


def test_every_conversation_ends_with_a_written_answer_and_can_be_rendered() -> None:
    for _, conversation in EVERY:
        last = conversation["messages"][-1]
        assert last["role"] == "assistant"
        assert last["content"]
        pieces = render(conversation["messages"], conversation["tools"], generation_prompt=False)
        assert any(piece.learned for piece in pieces)


def test_no_message_has_an_unfilled_slot_or_stray_spaces() -> None:
    for _, conversation in EVERY:
        for message in conversation["messages"]:
            text = message["content"]
            if message["role"] in ("user", "assistant", "system"):
                assert "{}" not in text
                assert text == text.strip()
                assert "  " not in text
                if message["role"] == "user":
                    assert "{" not in text, text
                    assert text


def test_held_out_tools_never_occur_in_training() -> None:
    assert tool_names("train").isdisjoint(tool_names("held_out"))


def test_the_assistant_never_calls_itself_anything_but_openk2s_model() -> None:
    for _, conversation in EVERY:
        for message in conversation["messages"]:
            if message["role"] == "assistant":
                text = message["content"]
                assert "Moonshot" not in text
                assert "Kimi" not in text.replace("Kimi K2 architecture", "")


def test_every_kind_of_turn_is_common_enough_to_be_learnt() -> None:
    sample = SAMPLE["train"]
    texts = [m["content"] for c in sample for m in c["messages"] if m["role"] == "assistant"]
    sections = [m for c in sample for m in c["messages"] if m.get("tool_calls")]
    weather = [c for c in sample if any("eather" in m["tool_calls"][0]["id"]
                                        for m in c["messages"] if m.get("tool_calls"))]  # fmt: skip
    assert sum(len(m["tool_calls"]) > 1 for m in sections) / len(sections) > 0.05
    assert sum("no tool that can" in text for text in texts) / len(sample) > 0.04
    assert sum("could not" in text for text in texts) / len(sample) > 0.03
    assert sum("openk2-nano" in text for text in texts) / len(sample) > 0.08
    assert sum("What is the " in text for text in texts) / len(sample) > 0.05
    assert 0.05 < len(weather) / len(sample) < 0.25


def test_every_assistant_turn_has_its_kind_and_calls_only_where_its_kind_does() -> None:
    calling = {"single", "parallel", "sequence"}
    for _, conversation in EVERY:
        turns = [m for m in conversation["messages"] if m["role"] == "assistant"]
        for kind, turn in zip(conversation["kinds"], turns, strict=True):
            assert bool(turn.get("tool_calls")) == (kind in calling), kind
            assert len(turn.get("tool_calls", [])) < 2 or kind == "parallel"


def test_a_conversation_of_talk_alone_calls_nothing_though_half_declare_tools() -> None:
    sample = list(generate(2, 300, "train", talk_share=1.0))
    assert all(set(c["kinds"]) == {"talk"} for c in sample)
    assert 0.3 < sum(bool(c["tools"]) for c in sample) / len(sample) < 0.7


def test_no_tool_that_could_answer_a_common_fact_is_declared_beside_one() -> None:
    tasks = [task for name in ("maps", "library", "math", "news", "time", "currency")
             for task in TRAIN.domains[name]]  # fmt: skip
    nouns = [task.noun_words.replace(" ", "") for task in tasks]
    for conversation in generate(4, 600, "train", talk_share=1.0):
        if not any("The capital of" in m["content"] for m in conversation["messages"]):
            continue
        for tool in conversation["tools"]:
            name = "".join(c for c in tool["function"]["name"].lower() if c.isalpha())
            assert not any(name.endswith(noun) for noun in nouns), name


def test_conversations_are_compact_and_tools_many() -> None:
    sizes = sorted(len(json.dumps(c)) for c in SAMPLE["train"])
    assert sizes[len(sizes) // 2] < 1600
    assert sizes[int(len(sizes) * 0.95)] < 3200
    declared = {json.dumps(t) for c in SAMPLE["train"] for t in c["tools"]}
    assert len(declared) > 0.9 * sum(len(c["tools"]) for c in SAMPLE["train"])


@pytest.mark.parametrize("module", ["openk2.synthesis", "openk2.eval"])
def test_the_room_runs_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
