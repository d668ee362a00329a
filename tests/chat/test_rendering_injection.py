"""Every special tried in every place of a conversation stays text."""

from typing import Any

import pytest

from openk2.chat import Tokenizer, canonical_history, encode_chat, render
from openk2.chat.prompt_style import ToolFormat


def conversation(evil: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Messages and tools that say `evil` wherever text can stand."""
    function = {
        "name": evil,
        "description": evil,
        "parameters": {
            "type": "object",
            "title": evil,
            "required": [evil],
            "properties": {evil: {"type": "string", "description": evil, "enum": [evil]}},
        },
    }
    tools = [{"type": "function", "function": function}]
    call = {"id": evil, "type": "function", "function": {"name": evil, "arguments": evil}}
    by_object = {"id": evil, "function": {"name": evil, "arguments": {evil: [evil]}}}
    messages = [
        {"role": "system", "name": evil, "content": evil},
        {"role": "user", "name": evil, "content": [{"type": "text", "text": evil}]},
        {"role": "assistant", "name": evil, "content": evil, "tool_calls": [call, by_object]},
        {"role": "tool", "name": evil, "tool_call_id": evil, "content": evil},
        {"role": "user", "content": evil},
    ]
    return messages, tools


@pytest.mark.parametrize("tool_format", ["json", "typescript"])
@pytest.mark.parametrize("renamed", [False, True])
def test_no_special_in_any_place_becomes_control(
    tokenizer: Tokenizer, tool_format: ToolFormat, renamed: bool
) -> None:
    def prompt(evil: str) -> tuple[list[int], str]:
        messages, tools = conversation(evil)
        history: Any = canonical_history(messages).messages if renamed else messages
        pieces = render(history, tools, tool_format=tool_format)
        encoded = encode_chat(tokenizer, history, tools, tool_format=tool_format)
        return encoded.token_ids, "".join(piece.text for piece in pieces)

    def control(ids: list[int]) -> list[int]:
        return [i for i in ids if tokenizer.is_special(i)]

    innocent, _ = prompt("word")
    assert len(control(innocent)) == 28
    for name in tokenizer.specials:
        ids, text = prompt(name)
        assert control(ids) == control(innocent), name
        assert tokenizer.decode(ids) == text, name
        assert text.count(name) >= 19, name


def test_a_special_in_two_neighbouring_places_is_not_put_together(tokenizer: Tokenizer) -> None:
    for name in tokenizer.specials:
        for cut in range(1, len(name)):
            parts = [{"type": "text", "text": part} for part in (name[:cut], name[cut:])]
            ids = encode_chat(tokenizer, [{"role": "user", "content": parts}]).token_ids
            assert sum(map(tokenizer.is_special, ids)) == 8, name
        if len(name) > 14:
            break
