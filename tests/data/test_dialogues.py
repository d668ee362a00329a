"""Schema-Guided Dialogues become tool conversations."""

import json
import lzma
import os
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from openk2.chat import render
from openk2.data.dialogues import convert_dialogues


def slot(name: str, *values: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"The {name}",
        "is_categorical": bool(values),
        "possible_values": list(values),
    }


def service(name: str) -> dict[str, Any]:
    find = {
        "name": "Find",
        "description": "Find a table",
        "required_slots": ["town", "seats"],
        "optional_slots": {"kind": "dontcare", "garden": "dontcare"},
    }
    return {
        "service_name": name,
        "slots": [slot("town"), slot("seats", "1", "2"), slot("kind", "thai", "greek"),
                  slot("garden", "True", "False")],
        "intents": [find],
    }  # fmt: skip


CALL = {
    "service": "Eat_1",
    "method": "Find",
    "parameters": {"town": "Rome", "seats": "2", "garden": "True"},
    "results": [{"town": "Rome", "seats": "2"}, {"town": "Ostia"}, {"town": "Tivoli"}],
}
TURNS = [
    {"speaker": "user", "text": "A table for 2 in Rome, in a garden."},
    {"speaker": "system", "text": "There is one in Rome.", "calls": [CALL]},
    {"speaker": "user", "text": "Thanks."},
    {"speaker": "system", "text": "Bye."},
]


def convert(folder: Path, dialogue: dict[str, Any], **options: int) -> list[dict[str, Any]]:
    """Write the files that the data has, and convert them."""
    (folder / "schema.json").write_text(json.dumps([service("Eat_1"), service("Eat_2")]))
    with lzma.open(folder / "rows.jsonl.xz", "wt") as file:
        file.write(json.dumps({"id": "1", "services": ["Eat_1"], **dialogue}) + "\n")
    return list(convert_dialogues(folder / "rows.jsonl.xz", folder / "schema.json", **options))


def test_a_call_stands_before_the_text_that_tells_its_result(tmp_path: Path) -> None:
    (conversation,) = convert(tmp_path, {"turns": TURNS})
    roles = [message["role"] for message in conversation["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user", "assistant"]
    assert "2019-03-01" in conversation["messages"][0]["content"]
    (call,) = conversation["messages"][2]["tool_calls"]
    assert call["id"] == conversation["messages"][3]["tool_call_id"] == "functions.Find:0"
    assert call["function"]["arguments"] == '{"garden":true,"seats":2,"town":"Rome"}'


def test_slots_become_typed_parameters_and_results_are_cut(tmp_path: Path) -> None:
    (conversation,) = convert(tmp_path, {"turns": TURNS}, max_results=1)
    parameters = conversation["tools"][0]["function"]["parameters"]
    assert parameters["required"] == ["town", "seats"]
    assert {n: s["type"] for n, s in parameters["properties"].items()} == {
        "town": "string", "seats": "integer", "kind": "string", "garden": "boolean",
    }  # fmt: skip
    assert parameters["properties"]["kind"]["enum"] == ["thai", "greek"]
    assert json.loads(conversation["messages"][3]["content"]) == [{"town": "Rome", "seats": 2}]


def test_methods_of_one_name_are_told_apart_by_their_service(tmp_path: Path) -> None:
    (conversation,) = convert(tmp_path, {"turns": TURNS, "services": ["Eat_1", "Eat_2"]})
    names = [tool["function"]["name"] for tool in conversation["tools"]]
    assert names == ["Eat_1.Find", "Eat_2.Find"]


def test_a_long_dialogue_is_cut_after_an_assistant_turn(tmp_path: Path) -> None:
    (conversation,) = convert(tmp_path, {"turns": TURNS * 50}, max_chars=3000)
    assert conversation["messages"][-1]["role"] == "assistant"
    assert conversation["messages"][-1]["content"]
    assert len(json.dumps(conversation)) < 3600
    assert convert(tmp_path, {"turns": TURNS}, max_chars=100) == []


def test_a_call_that_lacks_a_required_parameter_ends_the_conversation(tmp_path: Path) -> None:
    call = {**CALL, "parameters": {"town": "Rome"}}
    turns = [*TURNS[2:], TURNS[0], {**TURNS[1], "calls": [call]}]
    (conversation,) = convert(tmp_path, {"turns": turns})
    assert conversation["messages"][-1]["content"] == "Bye."


def test_an_unknown_service_or_method_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'Sleep_1' is not in the schema file"):
        convert(tmp_path, {"turns": TURNS, "services": ["Sleep_1"]})
    unknown = {**CALL, "method": "Sell"}
    with pytest.raises(ValueError, match=r"'Eat_1' has no method 'Sell'"):
        convert(tmp_path, {"turns": [TURNS[0], {**TURNS[1], "calls": [unknown]}]})


def test_real_dialogues_convert_to_valid_calls_that_can_be_rendered() -> None:
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    folder = Path(os.environ.get("OPENK2_SHARED", beside)) / "data" / "dialogues"
    rows, schema = folder / "sgd-dev.jsonl.xz", folder / "sgd-dev-schema.json"
    if not rows.exists():
        pytest.skip("Schema-Guided Dialogue rows are not at hand: set OPENK2_SHARED")
    converted = list(islice(convert_dialogues(rows, schema), 150))
    assert len(converted) == 150
    for conversation in converted:
        render(conversation["messages"], conversation["tools"], generation_prompt=False)
        schemas = {t["function"]["name"]: t["function"]["parameters"]
                   for t in conversation["tools"]}  # fmt: skip
        for message in conversation["messages"]:
            for call in message.get("tool_calls", []):
                function = call["function"]
                validator = jsonschema.Draft202012Validator(schemas[function["name"]])
                validator.validate(json.loads(function["arguments"]))
