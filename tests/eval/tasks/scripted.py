"""Models that answer as a test says, in the running process."""

from collections.abc import Callable, Sequence
from typing import Any

from inspect_ai.model import ChatMessage, Model, ModelOutput, ModelUsage, get_model

Play = Callable[[Sequence[ChatMessage]], ModelOutput]


def scripted(play: Play) -> Model:
    """A model that answers as `play` says."""

    def output(messages: Sequence[ChatMessage], *_: Any) -> ModelOutput:
        made = play(messages)
        made.usage = ModelUsage()  # otherwise inspect counts tokens, with a download
        return made

    return get_model("mockllm/model", custom_outputs=output, memoize=False)


def says(text: str) -> ModelOutput:
    """An answer in words."""
    return ModelOutput.from_content("mockllm/model", text)


def calls(name: str, **arguments: Any) -> ModelOutput:
    """An answer that calls a tool."""
    return ModelOutput.for_tool_call("mockllm/model", name, arguments, content="")


def called(messages: Sequence[ChatMessage]) -> list[str]:
    """The tools that have answered."""
    return [str(message.function) for message in messages if message.role == "tool"]
