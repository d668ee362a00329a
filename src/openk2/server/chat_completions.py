"""OpenAI's chat completions: the request as pydantic reads it, and its route."""

import reprlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from openk2.generation import ChatGenerator, ChatRequest, complete
from openk2.server.chat_answer import answer_json, chunk_events
from openk2.server.choices import all_of, interleaved
from openk2.server.errors import ANSWERS, error_event
from openk2.server.fields import GenerationFields, TopLogprobs
from openk2.server.refusals import CHAT_NEUTRAL, invalid, refuse_unsupported, unsupported
from openk2.server.served import ServedNames
from openk2.server.stream import CLIENT_LEFT, STREAMABLE, EventStream, unless_client_leaves

# Of a message: Moonshot's prefix to go on from, OpenAI's older calls, OpenAI's audio.
MESSAGE_FIELDS = ("partial", "function_call", "audio")
TEXT = {"anyOf": [{"type": "string"}, {"type": "array"}, {"type": "null"}]}
MESSAGE_SCHEMA = {
    "type": "object",
    "description": "Checked where it is rendered; content is text, or a list of text parts.",
    "required": ["role"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": TEXT,
        "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "tool_calls": {"anyOf": [{"type": "array"}, {"type": "null"}]},
        "tool_call_id": {"type": "string"},
    },
}
TOOL_CHOICE_SCHEMA = {"enum": ["auto", "none", None], "default": None}

Message = Annotated[dict[str, Any], WithJsonSchema(MESSAGE_SCHEMA)]


class Function(BaseModel):
    """The function of a tool."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=r"^\S+$", max_length=128)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    """A tool that the model may call."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"]
    function: Function


class ChatCompletionBody(GenerationFields):
    """The body of POST /v1/chat/completions. Messages are checked where they are rendered."""

    messages: list[Message] = Field(min_length=1)
    tools: list[Tool] | None = None
    tool_choice: Annotated[Any, WithJsonSchema(TOOL_CHOICE_SCHEMA)] = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None

    def requests(self) -> list[ChatRequest]:
        """A request for each choice. Raises ApiError 400 naming a field that is not supported."""
        refuse_unsupported(self.model_extra, CHAT_NEUTRAL)
        self.refuse_in_messages_and_tools()
        limits = [n for n in (self.max_tokens, self.max_completion_tokens) if n is not None]
        request = ChatRequest(
            messages=[as_rendered(message) for message in self.messages],
            tools=[tool.model_dump(exclude_unset=True) for tool in self.tools or ()],
            tool_choice=self.checked_tool_choice(),
            max_tokens=min(limits, default=None),
            logprobs=self.checked_logprobs(),
            **self.settings(),
        )
        return [replace(request, seed=seed) for seed in self.choice_seeds()]

    def refuse_in_messages_and_tools(self) -> None:
        """Raise for MESSAGE_FIELDS in use, for strict tools and for two tools of a name."""
        for index, message in enumerate(self.messages):
            for field in MESSAGE_FIELDS:
                if message.get(field):
                    raise unsupported(f"messages[{index}].{field}", message[field])
        names: set[str] = set()
        for index, tool in enumerate(self.tools or ()):
            name, where = tool.function.name, f"tools[{index}].function"
            if tool.function.strict:
                raise unsupported(f"{where}.strict", True)
            if name in names:
                raise invalid(f"{where}.name", f"is {name!r}, which is declared twice")
            names.add(name)

    def checked_tool_choice(self) -> Literal["auto", "none"]:
        """Raise for a choice that forces a call, and for what is no choice at all."""
        choice = self.tool_choice
        if choice is None:
            return "auto"
        if choice in ("auto", "none"):
            return cast(Literal["auto", "none"], choice)
        if choice == "required" and not self.tools:
            raise invalid("tool_choice", 'is "required", but there are no tools: declare one')
        if choice == "required" or isinstance(choice, dict):
            raise unsupported("tool_choice", choice)
        shown = reprlib.repr(choice)
        raise invalid("tool_choice", f'is {shown}: it must be "auto" or "none"')

    def checked_logprobs(self) -> int | None:
        """How many likeliest tokens to report. Raises for top_logprobs without logprobs."""
        if self.logprobs:
            return self.top_logprobs or 0
        if self.top_logprobs:
            raise invalid("top_logprobs", f"is {self.top_logprobs}: it needs logprobs true")
        return None


def as_rendered(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """OpenAI's newer name for the system role is `developer`; K2 has one role for both."""
    return {**message, "role": "system"} if message.get("role") == "developer" else message


def chat_routes(chat: ChatGenerator, names: ServedNames) -> APIRouter:
    """The route of chat completions for one model."""
    router = APIRouter(prefix="/v1")

    @router.post("/chat/completions", responses=STREAMABLE | ANSWERS)
    async def chat_completions(body: ChatCompletionBody, request: Request) -> Response:
        names.check(body.model)
        asked = body.requests()
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk" if body.stream else "chat.completion",
            "created": int(time.time()),
            "model": body.model,
        }
        if body.stream:
            events = interleaved([chat.stream(one) for one in asked])
            chunks = chunk_events(events, len(asked), head, include_usage=body.include_usage)
            return EventStream(chunks, error_event)
        work = all_of([complete(chat, one) for one in asked])
        answers = await unless_client_leaves(request.receive, work)
        if answers is None:
            return Response(status_code=CLIENT_LEFT)
        return JSONResponse({**head, **answer_json(answers, scored=bool(body.logprobs))})

    return router
