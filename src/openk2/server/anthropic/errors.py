"""Errors of the Messages routes, with the fields named as in Anthropic's interface."""

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from openk2.chat import RenderError
from openk2.generation import ChatEvent, ContextLengthError, RequestError
from openk2.server.errors import ApiError, as_api_error

# Other packages name OpenAI's fields; these are the fields of these routes' bodies.
PLACES = (
    (re.compile(r"\btools\[(\d+)\]\.function\.parameters\b"), r"tools[\1].input_schema"),
    (re.compile(r"\btools\[(\d+)\]\.function\."), r"tools[\1]."),
    (re.compile(r"\bparallel_tool_calls\b"), "tool_choice.disable_parallel_tool_use"),
    (re.compile(r"\bresponse_format\.json_schema\.schema\b"), "output_config.format.schema"),
    (re.compile(r"\bresponse_format\b"), "output_config.format"),
    (re.compile(r'\btool_choice is "required"'), 'tool_choice is "any"'),
    (re.compile(r"\btool_choice names the tool\b"), "tool_choice.name is"),
)

_NUMBERED = re.compile(r"\b(?:tools|messages)\[\d+\]")


async def in_their_words(
    events: AsyncGenerator[ChatEvent, None], moved: Callable[[], Mapping[str, str]]
) -> AsyncGenerator[ChatEvent, None]:
    """The events. An error in the request is raised as ApiError with its place in the body.

    moved: called for an error; see `message_error`.
    """
    async with aclosing(events):
        try:
            async for event in events:
                yield event
        except (RenderError, RequestError) as error:
            raise message_error(error, moved()) from error


def message_error(error: RenderError | RequestError, moved: Mapping[str, str]) -> ApiError:
    """The 400 of a request that generation refuses.

    moved: what has another place in the body than in the request that was made of it:
        {"tools[0]": "tools[3]"}.
    """
    if isinstance(error, ContextLengthError):
        return ApiError(400, context_problem(error), code="context_length_exceeded")
    shown = as_api_error(error)
    place, problem = in_place(shown.param or "", moved), in_place(str(shown), moved)
    # Errors of these routes have no field for the place, so the message names it.
    text = problem if place in problem else f"{place}: {problem}"
    return ApiError(400, text, param=place or None, code=shown.code)


def context_problem(error: ContextLengthError) -> str:
    """Anthropic's own wording: coding agents read the numbers in it, and shorten or retry."""
    prompt, limit, asked = error.prompt_tokens, error.context_length, error.max_tokens
    if asked is None or prompt >= limit:
        return f"prompt is too long: {prompt} tokens > {limit} maximum"
    return (
        f"input length and `max_tokens` exceed context limit: {prompt} + {asked} > {limit}, "
        "decrease input length or `max_tokens` and try again"
    )


def in_place(text: str, moved: Mapping[str, str]) -> str:
    """The text with the fields named and numbered as the body has them."""
    text = _NUMBERED.sub(lambda found: moved.get(found[0], found[0]), text)
    for openai, anthropic in PLACES:
        text = openai.sub(anthropic, text, count=1)
    return text


def message_error_event(error: Exception) -> bytes:
    """The error as a server-sent event, for an answer that has already started."""
    body = as_api_error(error).message_body()
    return f"event: error\ndata: {json.dumps(body)}\n\n".encode()
