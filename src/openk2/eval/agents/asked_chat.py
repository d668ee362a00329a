"""The model of an inspect sample as a `ChatGenerator`: what runs on one runs on the other.

Cap, temperature and seed are the row's, not the request's.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from inspect_ai.model import GenerateConfig, ModelOutput, get_model, messages_from_openai
from inspect_ai.solver import TaskState
from inspect_ai.tool import ToolCall

from openk2.chat import CallArguments, CallEnd, CallStart, ContentDelta
from openk2.eval.agents.tool_infos import tool_infos
from openk2.eval.asking import SEED
from openk2.generation import ChatEvent, ChatFinish, ChatFinishReason, ChatRequest


class AskedChat:
    """Asks for the answers of one sample. Tools are declared, never run."""

    def __init__(self, state: TaskState) -> None:
        self._state = state

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """The answer to `request.messages` with `request.tools`; its settings are the row's."""
        functions = [tool["function"] for tool in request.tools]
        tools, declared = tool_infos(functions, str(self._state.sample_id))
        allowed = {name: short for short, name in declared.items()}
        sent: Any = [with_allowed_names(message, allowed) for message in request.messages]
        messages = await messages_from_openai(sent)
        config = GenerateConfig(seed=self._state.store.get(SEED))
        output = await get_model().generate(messages, tools=tools, config=config)
        self._state.messages = messages + ([output.message] if output.choices else [])
        self._state.output = output
        for event in events_of(output, declared):
            yield event


def with_allowed_names(message: Mapping[str, Any], allowed: Mapping[str, str]) -> dict[str, Any]:
    """The message, its calls by the names that were declared to the endpoint."""
    calls = [
        {**call, "function": {**call["function"], "name": allowed.get(name, name)}}
        for call in message.get("tool_calls") or ()
        for name in [call["function"]["name"]]
    ]
    content = message.get("content") or ""
    return {**message, "content": content} | ({"tool_calls": calls} if calls else {})


def events_of(output: ModelOutput, declared: Mapping[str, str]) -> list[ChatEvent]:
    """An output as events. declared: name in the request -> name that the caller knows."""
    message = output.message if output.choices else None
    calls: Sequence[ToolCall] = (message.tool_calls or ()) if message is not None else ()
    events: list[ChatEvent] = [ContentDelta(output.completion)] if output.completion else []
    for index, call in enumerate(calls):
        name = declared.get(call.function, call.function)
        events.append(CallStart(index, call.id, name))
        events.append(CallArguments(index, arguments_text(call)))
        events.append(CallEnd(index))
    cut = output.stop_reason in ("max_tokens", "model_length")
    reason: ChatFinishReason = "length" if cut else "tool_calls" if calls else "stop"
    usage = output.usage
    sizes = (usage.input_tokens, usage.output_tokens) if usage else (0, 0)
    return [*events, ChatFinish(reason, *sizes)]


def arguments_text(call: ToolCall) -> str:
    """The arguments as JSON text; what could not be parsed stays what no parser takes."""
    return "" if call.parse_error else json.dumps(call.arguments, ensure_ascii=False)
