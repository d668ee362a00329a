"""A `ChatRequest` as the JSON body of OpenAI's chat completions."""

from typing import Any

from openk2.generation.chat import ChatRequest, JsonFormat, NamedTool, ToolChoice
from openk2.generation.settings import GenerationSettings

# Sent only if they differ from their defaults: few servers know all of them.
SETTINGS = (
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
)


def request_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """The JSON of a streamed request; settings that are off are left out."""
    optional = {
        "max_tokens": request.max_tokens,
        "logit_bias": {str(token): bias for token, bias in request.logit_bias.items()} or None,
        "logprobs": None if request.logprobs is None else True,
        "top_logprobs": request.logprobs,
        "stop": list(request.stop) or None,
        "tools": list(request.tools) or None,
        "tool_choice": tool_choice_json(request.tool_choice) if request.tools else None,
        "parallel_tool_calls": None if request.parallel_tool_calls else False,
        "response_format": response_format_json(request.response_format),
    }
    for name in SETTINGS:
        value = getattr(request, name)
        optional[name] = None if value == getattr(GenerationSettings, name) else value
    return {
        "model": model,
        "messages": list(request.messages),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in optional.items() if value is not None},
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
    schema = {"name": wanted.name, "schema": wanted.schema, "strict": True}
    return {"type": "json_schema", "json_schema": schema}
