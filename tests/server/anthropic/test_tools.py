"""Which of the deferred tools are declared."""

import pytest

from openk2.server.anthropic.tools import MessageTool, MessageToolChoice, offered

TOOLS = [
    MessageTool(name="search", input_schema={"type": "object"}),
    MessageTool(name="look", input_schema={"type": "object"}, defer_loading=True),
]
REFERENCE = {"type": "tool_reference", "tool_name": "look"}
ADDED = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "look"}}


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "user", "content": [{"type": "tool_result", "content": [REFERENCE]}]}, True),
        ({"role": "system", "content": [ADDED]}, True),
        ({"role": "assistant", "content": [{"type": "tool_use", "name": "look"}]}, True),
        ({"role": "system", "content": [{**ADDED, "tool": {"name": "look"}}]}, False),
        ({"role": "user", "content": "look"}, False),
    ],
)
def test_a_deferred_tool_is_declared_once_the_conversation_names_it(
    message: dict, named: bool
) -> None:
    names = [tool.name for _, tool in offered(TOOLS, [message], None)]
    assert names == (["search", "look"] if named else ["search"])
    choice = MessageToolChoice(type="tool", name="look")
    assert len(offered(TOOLS, [message], choice)) == 2
