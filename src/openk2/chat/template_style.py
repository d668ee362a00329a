"""Which `PromptStyle` a checkpoint's own template writes: it is rendered, and asked nothing else.

Neither the model's name nor words in the template decide. Each property of a style is measured on a
short conversation, and the style counts only if its prompts are the template's, byte for byte, on
conversations with everything in them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from openk2.chat.checkpoint_template import CheckpointTemplate
from openk2.chat.message_fields import RenderError
from openk2.chat.prompt_style import THINK, Kept, PromptStyle, Thinking
from openk2.chat.rendering import DEFAULT_SYSTEM_PROMPT, declare, render
from openk2.chat.tool_namespaces import sorted_keys

Messages = Sequence[Mapping[str, Any]]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Looks.\n\nTwice.",
            "parameters": {
                "type": "object",
                "properties": {"b": {"type": "integer", "minimum": 1}, "a": {"type": "string"}},
                "required": ["b"],
            },
        },
    }
]
ASKED = {"role": "user", "content": "Where?"}


def call(number: int, **thought: str) -> list[dict[str, Any]]:
    """An assistant's turn with a call, and its result."""
    function = {"name": "look", "arguments": '{"b": 1}'}
    made = {"id": f"functions.look:{number}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": "", "tool_calls": [made], **thought},
        {"role": "tool", "tool_call_id": made["id"], "name": "look", "content": "here"},
    ]


ANSWERED = {"role": "assistant", "content": " There. ", "reasoning_content": "an old thought"}
EVERYTHING: Sequence[Messages] = (
    [ASKED],
    [{"role": "system", "content": "Be brief."}, {**ASKED, "name": "ann"}],
    [ASKED, *call(0, reasoning_content="one\n"), ANSWERED, ASKED, *call(1, reasoning_content="2")],
    [ASKED, *call(0), {"role": "assistant", "content": None}, {"role": "user", "content": ""}],
)


def style_of(template: CheckpointTemplate) -> PromptStyle | None:
    """The style of a template that writes thoughts; None if it is none that openk2 renders."""
    try:
        style = measured(template)
        written = all(
            text_of(messages, style, thinking) == template_text(template, messages, style, thinking)
            for messages in EVERYTHING
            for thinking in choices(style)
        )
    except RenderError:
        return None
    return style if written else None


def measured(template: CheckpointTemplate) -> PromptStyle:
    """The style that short conversations show. Raises RenderError if they cannot be rendered."""

    def prompt(*messages: Mapping[str, Any], **arguments: Any) -> str:
        return template.render(list(messages), True, **arguments)

    alone = prompt(ASKED)
    history = (ASKED, ANSWERED, ASKED)
    kept: Kept = "current"
    if "an old thought" in prompt(*history):
        kept = "all"
    elif "an old thought" in prompt(*history, preserve_thinking=True):
        kept = "choice"
    both = prompt(ASKED, *call(0, reasoning="short", reasoning_content="long"))
    named = prompt(ASKED, tools=TOOLS, tools_ts_str="as written")
    return PromptStyle(
        thinks=True,
        default_system=DEFAULT_SYSTEM_PROMPT in alone,
        newline=f"{DEFAULT_SYSTEM_PROMPT}<|im_end|>\n" in alone,
        tools="namespaces" if "as written" in named else "json",
        opens=alone.endswith(THINK),
        stops=prompt(ASKED, thinking=False) != alone,
        kept=kept,
        fields=("reasoning", "reasoning_content") if "short" in both else ("reasoning_content",),
    )


def choices(style: PromptStyle) -> list[Thinking]:
    """What requests to a model of this style may say."""
    found = [Thinking(), Thinking(enabled=True)]
    found += [Thinking(enabled=False)] if style.stops else []
    found += [Thinking(keep=True), Thinking(True, keep=True)] if style.kept == "choice" else []
    return found


def text_of(messages: Messages, style: PromptStyle, thinking: Thinking) -> str:
    """The prompt as this package renders it."""
    pieces = render(messages, TOOLS, style=style, thinking=thinking)
    return "".join(piece.text for piece in pieces)


def template_text(
    template: CheckpointTemplate, messages: Messages, style: PromptStyle, thinking: Thinking
) -> str:
    """The prompt as the template writes it, with the variables of the published tokenizers."""
    return template.render(list(messages), True, **variables(TOOLS, style, thinking))


def variables(tools: Messages, style: PromptStyle, thinking: Thinking) -> dict[str, Any]:
    """What the published tokenizer gives its template beside the messages."""
    found: dict[str, Any] = {"tools": sorted_keys(list(tools))} if tools else {}
    written = declare(tools, style.tools) if tools else ""
    if style.tools == "namespaces" and written != declare(tools):
        found["tools_ts_str"] = written
    if thinking.enabled is not None:
        found["thinking"] = thinking.enabled
    if thinking.keep is not None:
        found["preserve_thinking"] = thinking.keep
    return found
