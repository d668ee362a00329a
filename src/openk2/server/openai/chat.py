"""OpenAI's chat completions: the body as pydantic reads it, and the route."""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, WithJsonSchema

from openk2.generation import ChatGenerator, ChatRequest, complete
from openk2.server.api_keys import tenant_of
from openk2.server.bounded_route import BoundedRoute
from openk2.server.choices import all_of, interleaved
from openk2.server.errors import ANSWERS, error_event
from openk2.server.openai.answer_size import ScoreLimit, check_scores
from openk2.server.openai.chat_answer import answer_json, chunk_events
from openk2.server.openai.fields import GenerationFields, TopLogprobs, shared_owner
from openk2.server.openai.tools import (
    AnyToolChoice,
    FunctionTool,
    ResponseFormat,
    read_response_format,
    read_tool_choice,
)
from openk2.server.refusals import (
    CHAT_NEUTRAL,
    invalid,
    refuse_unsupported,
    thinking_fields,
    unsupported,
)
from openk2.server.repetition import repetition_headers
from openk2.server.replayed import readable
from openk2.server.served import ServedNames
from openk2.server.stream import CLIENT_LEFT, STREAMABLE, EventStream, unless_client_leaves
from openk2.server.whole import whole_json

# Refused in messages: OpenAI's older function calls, and audio.
MESSAGE_FIELDS = ("function_call", "audio")
# Moonshot's and DeepSeek's names of the same: the last message is the beginning of the answer.
PREFIX_FIELDS = ("partial", "prefix")
PART_SCHEMA = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
}
CALL_SCHEMA = {
    "type": "object",
    "required": ["id", "type", "function"],
    "properties": {
        "id": {"type": "string"},
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "required": ["name", "arguments"],
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "arguments": {"type": "string"},
            },
        },
    },
}
NAME_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "null"}]}
TEXT_SCHEMA = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": PART_SCHEMA}, {"type": "null"}]
}
MESSAGE_SCHEMA = {
    "description": "Checked where it is rendered.",
    "anyOf": [
        {
            "type": "object",
            "required": ["role"],
            "properties": {
                "role": {"enum": ["system", "developer", "user"]},
                "content": TEXT_SCHEMA,
                "name": NAME_SCHEMA,
            },
        },
        {
            "type": "object",
            "required": ["role"],
            "properties": {
                "role": {"const": "assistant"},
                "content": TEXT_SCHEMA,
                "name": NAME_SCHEMA,
                "reasoning_content": NAME_SCHEMA,
                "tool_calls": {
                    "anyOf": [{"type": "array", "items": CALL_SCHEMA}, {"type": "null"}]
                },
            },
        },
        {
            "type": "object",
            "required": ["role", "tool_call_id"],
            "properties": {
                "role": {"const": "tool"},
                "content": TEXT_SCHEMA,
                "name": NAME_SCHEMA,
                "tool_call_id": {"type": "string"},
            },
        },
    ],
}

ChatMessage = Annotated[dict[str, Any], WithJsonSchema(MESSAGE_SCHEMA)]


class ChatCompletionBody(GenerationFields):
    """The body of POST /v1/chat/completions. Messages are checked where they are rendered."""

    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[FunctionTool] | None = None
    tool_choice: AnyToolChoice = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None

    def requests(self, tenant: str = "") -> list[ChatRequest]:
        """A request for each choice. tenant: whose they are.

        Raises ApiError 400 naming a field that is not supported, and what `ChatRequest` raises.
        """
        refuse_unsupported(self.model_extra, CHAT_NEUTRAL)
        thinking = thinking_fields(self.model_extra)
        self.refuse_in_messages()
        request = ChatRequest(
            messages=readable([as_rendered(message) for message in self.messages]),
            tools=[tool.model_dump(exclude_unset=True) for tool in self.tools or ()],
            tool_choice=read_tool_choice(self.tool_choice),
            parallel_tool_calls=self.parallel_tool_calls is not False,
            response_format=read_response_format(self.response_format),
            is_continued=self.is_continued(),
            thinking=thinking,
            tenant=tenant,
            max_tokens=self.token_limit(),
            logprobs=self.checked_logprobs(),
            **self.settings(),
        )
        seeds = self.choice_seeds()
        owner = shared_owner(len(seeds))
        return [replace(request, seed=seed, owner=owner) for seed in seeds]

    def token_limit(self) -> int | None:
        """Output tokens at most; None: what the context leaves."""
        limits = [n for n in (self.max_tokens, self.max_completion_tokens) if n is not None]
        return min(limits, default=None)

    def sized(self, chat: ChatGenerator) -> ChatGenerator:
        """`chat` for whole answers, which may have MAX_SCORES scores together if there are several.

        Raises ApiError 400 if max_tokens asks for more. Without it answers are much shorter than
        the context, so only those that do have more are refused.
        """
        answers, likeliest, longest = self.n or 1, self.checked_logprobs(), self.token_limit()
        if answers == 1 or likeliest is None:
            return chat
        field = "top_logprobs" if likeliest else "logprobs"
        if longest is not None:
            check_scores(field, likeliest, answers, answers * longest)
        return ScoreLimit(chat, field)

    def refuse_in_messages(self) -> None:
        """Raise for MESSAGE_FIELDS in use."""
        for index, message in enumerate(self.messages):
            for field in MESSAGE_FIELDS:
                if message.get(field):
                    raise unsupported(f"messages[{index}].{field}", message[field])

    def is_continued(self) -> bool:
        """Whether the last message is the beginning of the answer, as PREFIX_FIELDS say.

        Raises ApiError 400 for a flag on another message.
        """
        last = len(self.messages) - 1
        for index, message in enumerate(self.messages):
            for field in PREFIX_FIELDS:
                flag = message.get(field)
                if flag is not None and not isinstance(flag, bool):
                    raise invalid(f"messages[{index}].{field}", "must be true or false")
                if flag and (index != last or message.get("role") != "assistant"):
                    problem = "is true: only the last message, the assistant's, can be continued"
                    raise invalid(f"messages[{index}].{field}", problem)
        return any(self.messages[last].get(field) for field in PREFIX_FIELDS)

    def checked_logprobs(self) -> int | None:
        """How many likeliest tokens to report. Raises for top_logprobs without logprobs."""
        if self.logprobs:
            return self.top_logprobs or 0
        if self.top_logprobs:
            raise invalid("top_logprobs", f"is {self.top_logprobs}: it needs logprobs true")
        return None


def as_rendered(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message without PREFIX_FIELDS, which are of the request. OpenAI's newer name for the
    system role is `developer`; K2 has one role for both."""
    shown = {name: value for name, value in message.items() if name not in PREFIX_FIELDS}
    return {**shown, "role": "system"} if message.get("role") == "developer" else shown


def chat_routes(
    chat: ChatGenerator, names: ServedNames, count_repetition: Callable[[], None]
) -> APIRouter:
    """The route of chat completions for one model.

    count_repetition: called for a request whose history repeats the same calls.
    """
    router = APIRouter(prefix="/v1", route_class=BoundedRoute)

    @router.post("/chat/completions", responses=STREAMABLE | ANSWERS)
    async def chat_completions(body: ChatCompletionBody, request: Request) -> Response:
        names.check(body.model)
        asked = body.requests(tenant_of(request.scope))
        whole = None if body.stream else body.sized(chat)
        headers = repetition_headers(asked[0].messages, count_repetition)
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk" if body.stream else "chat.completion",
            "created": int(time.time()),
            "model": body.model,
        }
        if whole is None:
            events = interleaved([chat.stream(one) for one in asked])
            chunks = chunk_events(events, len(asked), head, include_usage=body.include_usage)
            return EventStream(chunks, error_event, headers)
        work = all_of([complete(whole, one) for one in asked])
        answers = await unless_client_leaves(request.receive, work)
        if answers is None:
            return Response(status_code=CLIENT_LEFT)
        answer = {**head, **answer_json(answers, scored=bool(body.logprobs))}
        return await whole_json(answer, headers)

    return router
