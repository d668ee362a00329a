"""A `ChatRequest` as the JSON body of OpenAI's chat completions."""

from collections.abc import Mapping
from typing import Any

from openk2.generation.chat import ChatRequest, JsonFormat, NamedTool, ToolChoice

# Sent whatever their values: every server knows them, and their defaults differ between servers.
ALWAYS_SENT = ("temperature", "top_p")


def request_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """The JSON of a streamed request; settings that are off are left out.

    Stop strings are not sent: the answer's reader looks for them, since servers also find them in
    thoughts and in the JSON of calls, and few say which one they found.
    """
    optional = {
        "max_tokens": request.max_tokens,
        "logprobs": None if request.logprobs is None else True,
        "top_logprobs": request.logprobs,
        "tools": list(request.tools) or None,
        "tool_choice": tool_choice_json(request.tool_choice) if request.tools else None,
        "parallel_tool_calls": None if request.parallel_tool_calls else False,
        "response_format": response_format_json(request.response_format),
    }
    return {
        "model": model,
        "messages": list(request.messages),
        **{name: getattr(request, name) for name in ALWAYS_SENT},
        # Only what differs from its default: few servers know all of them.
        **sampling_json(request.changed()),
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in optional.items() if value is not None},
    }


def sampling_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Sampling settings as JSON has them: an object's keys are strings, token ids too."""
    return {
        name: {str(key): item for key, item in value.items()}
        if isinstance(value, Mapping)
        else value
        for name, value in settings.items()
    }


def tool_choice_json(choice: ToolChoice) -> str | dict[str, Any]:
    """OpenAI's form of it."""
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def response_format_json(wanted: JsonFormat | None) -> dict[str, Any] | None:
    """OpenAI's form of it; None for text."""
    if wanted is None:
        return None
    if wanted.schema is None:
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": wanted.schema, "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}
