"""`PromptStyle`: what differs between the published templates of K2's family.

All of them write the same turns and calls. Those of the models that think put a thought,
`<think>...</think>`, before an assistant's content, and differ in which thoughts of earlier turns
they keep. A checkpoint's style is measured on its own template (`template_style`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

THINK, THINK_END = "<think>", "</think>"

ToolFormat = Literal["json", "typescript", "namespaces"]
Kept = Literal["current", "choice", "all"]


@dataclass(frozen=True)
class PromptStyle:
    """How a template writes a prompt.

    thinks: whether an assistant's turn has a thought before its content.
    default_system: whether the default system prompt is written if there is no system message.
    newline: whether a newline follows that prompt.
    tools: the form of the tool declaration, see `declare`.
    opens: whether a prompt to generate ends inside a thought.
    stops: whether thinking can be switched off; the prompt then ends after an empty thought.
    kept: which thoughts stay. "current": those after the last assistant turn without calls;
        "choice": these, or all if the request says so; "all": all, always.
    fields: where a message has its thought; the first field that is present counts.
    """

    thinks: bool = False
    default_system: bool = True
    newline: bool = True
    tools: ToolFormat = "json"
    opens: bool = False
    stops: bool = False
    kept: Kept = "current"
    fields: tuple[str, ...] = ("reasoning_content",)


INSTRUCT = PromptStyle()
K2_THINKING = PromptStyle(thinks=True, newline=False)
K2_5 = PromptStyle(
    thinks=True, default_system=False, newline=False, tools="namespaces", opens=True, stops=True
)
K2_6 = PromptStyle(
    thinks=True,
    default_system=False,
    newline=False,
    tools="namespaces",
    opens=True,
    stops=True,
    kept="choice",
    fields=("reasoning", "reasoning_content"),
)
K2_7_CODE = PromptStyle(
    thinks=True,
    default_system=False,
    newline=False,
    tools="namespaces",
    opens=True,
    kept="all",
    fields=("reasoning", "reasoning_content"),
)


@dataclass(frozen=True)
class Thinking:
    """What a request says about thinking; None is the model's default.

    enabled: whether the model thinks before it answers. keep: whether the thoughts of all earlier
    turns stay in the prompt.
    """

    enabled: bool | None = None
    keep: bool | None = None


def first_thought(
    messages: Sequence[Mapping[str, Any]], style: PromptStyle, thinking: Thinking
) -> int:
    """The index of the first message whose thought stays in the prompt."""
    if thinking.enabled is False:
        return len(messages)
    if style.kept == "all" or (style.kept == "choice" and thinking.keep):
        return 0
    return open_turn(messages)


def open_turn(messages: Sequence[Mapping[str, Any]]) -> int:
    """The index after the last answer: of an assistant, without calls."""
    answers = [
        index
        for index, message in enumerate(messages)
        if isinstance(message, Mapping)
        and message.get("role") == "assistant"
        and not message.get("tool_calls")
    ]
    return answers[-1] + 1 if answers else 0
