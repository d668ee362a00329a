"""A dialogue of an agent and a simulated user, each a model with tools or none; an agent alone.

Knows no benchmark. Whatever a model writes is answered: a call of an unknown function or with
arguments of a wrong type is a result that says so. A dialogue ends by a sentence that either side
may write, or without one when its steps, failed calls or time are used up.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from anyio import move_on_after
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageTool,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
)
from inspect_ai.tool import ToolCall, ToolCallError, ToolInfo

from openk2.eval.agents.same_call import WrittenCall

SECONDS = 3600.0
LONGEST_RESULT = 20_000  # characters of a tool's result that a model sees

Ending = Literal["finished", "steps", "failures", "cut off", "time"]


class CallFailedError(Exception):
    """A tool refused a call; the message is for the model."""


Execute = Callable[[str, Mapping[str, Any]], Awaitable[str]]


async def no_tools(name: str, arguments: Mapping[str, Any]) -> str:
    """Refuses every call."""
    raise CallFailedError(f"there is no tool {name}")


@dataclass
class Speaker:
    """One side: its model, what it has seen, its tools.

    stops: the sentences by which it ends the dialogue.
    execute: runs a tool, by name and arguments. Raises CallFailedError with what the model is told.
    calls: what it called, in order, by the tools' names. output: of its last generation.
    """

    model: Model
    messages: list[ChatMessage]
    stops: Sequence[str]
    tools: Sequence[ToolInfo] = ()
    execute: Execute = no_tools
    config: GenerateConfig = field(default_factory=lambda: GenerateConfig(temperature=0.0))
    calls: list[WrittenCall] = field(default_factory=list)
    output: ModelOutput = field(default_factory=ModelOutput)

    def hear(self, text: str) -> None:
        """What the other side said."""
        self.messages.append(ChatMessageUser(content=text))

    def ends(self, text: str) -> bool:
        """Whether the text ends the dialogue."""
        return any(stop in text for stop in self.stops)


@dataclass
class Allowance:
    """Steps and failed calls that are left. A step is a message, or the results of its calls."""

    steps: int
    failures: int

    def ending(self) -> Ending | None:
        """Why the dialogue cannot go on."""
        if self.steps <= 0:
            return "steps"
        return "failures" if self.failures <= 0 else None


async def converse(agent: Speaker, user: Speaker, allowance: Allowance) -> Ending:
    """The user speaks first, the two take turns, until either writes one of its `stops`.

    What is written beside it is not passed on. Raises what the models' endpoints raise.
    """
    with move_on_after(SECONDS):
        while True:
            for speaker, listener in ((user, agent), (agent, user)):
                said = await speak(speaker, allowance)
                if said is None:
                    return allowance.ending() or "cut off"
                if speaker.ends(said):
                    return "finished"
                listener.hear(said)
    return "time"


async def work_alone(agent: Speaker, reminder: str, allowance: Allowance) -> Ending:
    """The agent acts until it writes one of its `stops`; other text is answered with `reminder`."""
    with move_on_after(SECONDS):
        while True:
            said = await speak(agent, allowance)
            if said is None:
                return allowance.ending() or "cut off"
            if agent.ends(said):
                return "finished"
            agent.hear(reminder)
    return "time"


async def speak(speaker: Speaker, allowance: Allowance) -> str | None:
    """Let a side call tools until it says something; None if the allowance or its context ended."""
    while allowance.ending() is None:
        output = await speaker.model.generate(
            speaker.messages, tools=list(speaker.tools), config=speaker.config
        )
        speaker.output = output
        if output.stop_reason == "model_length" or not output.choices:
            return None
        message = output.message
        speaker.messages.append(message)
        allowance.steps -= 1
        if not message.tool_calls:
            return message.text
        allowance.steps -= 1
        for call in message.tool_calls:
            speaker.messages.append(await result_of(call, speaker, allowance))
    return None


async def result_of(call: ToolCall, speaker: Speaker, allowance: Allowance) -> ChatMessageTool:
    """Run a call. Never raises for what a model wrote."""
    written = written_call(call)
    speaker.calls.append(written)
    error = None
    try:
        if written.arguments is None:
            raise CallFailedError(f"the arguments are no JSON object: {call.parse_error}")
        text = await speaker.execute(written.name, written.arguments)
    except CallFailedError as failed:
        allowance.failures -= 1
        text = f"Error: {failed}"
        error = ToolCallError("unknown", str(failed))
    return ChatMessageTool(
        content=text[:LONGEST_RESULT], tool_call_id=call.id, function=call.function, error=error
    )


def written_call(call: ToolCall) -> WrittenCall:
    """Name and arguments, None for arguments that were no JSON object."""
    usable = not call.parse_error and isinstance(call.arguments, dict)
    return WrittenCall(call.function, call.arguments if usable else None)


def calls_of(message: ChatMessageAssistant) -> list[WrittenCall]:
    """The calls of one message."""
    return [written_call(call) for call in message.tool_calls or ()]


def trajectory(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages for a sample's log: role, text, calls."""
    kept = []
    for message in messages:
        entry: dict[str, Any] = {"role": message.role, "text": message.text}
        if isinstance(message, ChatMessageAssistant) and message.tool_calls:
            entry["calls"] = [
                {"name": call.name, "arguments": call.arguments} for call in calls_of(message)
            ]
        kept.append(entry)
    return kept


def run_function(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """A simulated function's result as JSON text, text as it is.

    Raises CallFailedError for arguments that it does not have, lacks or cannot use.
    """
    try:
        result = function(**arguments)
    # What these functions raise is due to the arguments' types, which a model chose.
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise CallFailedError(f"{type(error).__name__}: {error}") from None
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
