"""Anthropic's Messages: the request as pydantic reads it, and its routes."""

import asyncio
import json
import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from openk2.chat import RenderError
from openk2.generation import ChatGenerator, ChatRequest, JsonFormat, PromptCoder
from openk2.server.anthropic.answer import message_events, sent_events, whole_message
from openk2.server.anthropic.blocks import chat_messages
from openk2.server.anthropic.errors import in_their_words, message_error, message_error_event
from openk2.server.anthropic.tools import MessageTool, MessageToolChoice, chosen, function_tools
from openk2.server.errors import MESSAGE_ANSWERS, MESSAGES_PATH, ApiError
from openk2.server.openai.fields import Stops
from openk2.server.refusals import Neutral, invalid, refuse_unsupported, unsupported
from openk2.server.served import ServedNames
from openk2.server.stream import CLIENT_LEFT, STREAMABLE, EventStream, unless_client_leaves

# Kimi-K2's README: real_temperature = request_temperature * 0.6, so that 1.0, the default of this
# interface, is the temperature that the model is recommended at.
TEMPERATURE_SCALE = 0.6
MESSAGES_NEUTRAL: Neutral = {
    "compaction": (),
    "container": (),
    "mcp_servers": ([],),
    "output_format": (),
}

TEXT_BLOCK_SCHEMA = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
}
TEXTS_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": TEXT_BLOCK_SCHEMA}]}
MESSAGE_SCHEMA = {
    "type": "object",
    "description": "Blocks are text, tool_use, tool_result, thinking and redacted_thinking.",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["user", "assistant", "system"]},
        "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
    },
}
InputMessage = Annotated[dict[str, Any], WithJsonSchema(MESSAGE_SCHEMA)]
System = Annotated[Any, WithJsonSchema({"anyOf": [*TEXTS_SCHEMA["anyOf"], {"type": "null"}]})]


class OutputFormat(BaseModel):
    """`output_config.format`."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    """`output_config`. effort, among the rest, is of models that think."""

    model_config = ConfigDict(extra="allow")

    format: OutputFormat | None = None


class Thinking(BaseModel):
    """`thinking`. It decides whether a model's thoughts are shown; K2-Instruct has none."""

    model_config = ConfigDict(extra="allow")

    type: str


class PromptBody(BaseModel):
    """What makes the prompt: the body of POST /v1/messages/count_tokens."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    messages: list[InputMessage] = Field(min_length=1)
    system: System = None
    tools: list[MessageTool] | None = None
    tool_choice: MessageToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    context_management: dict[str, Any] | None = None
    thread: dict[str, Any] | None = None

    def request(self, **settings: Any) -> ChatRequest:
        """The request. Raises ApiError 400 naming a field that is not supported."""
        refuse_unsupported(self.model_extra, MESSAGES_NEUTRAL)
        self.refuse_thread()
        self.refuse_edits()
        tools = function_tools(self.tools or ())
        choice = chosen(self.tool_choice, [tool["function"]["name"] for tool in tools])
        single = self.tool_choice is not None and self.tool_choice.disable_parallel_tool_use
        return ChatRequest(
            messages=chat_messages(self.system, self.messages),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=not single,
            response_format=self.json_format(calls=bool(tools) and choice != "none"),
            **settings,
        )

    def refuse_thread(self) -> None:
        """Raise for a conversation that the server would have to keep.

        The official client's tool runner asks for one, and takes this refusal as the request to
        send the whole history each time.
        """
        if self.thread is not None:
            message = "thread: this server keeps no conversations; send all messages, without it"
            details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
            raise ApiError(400, message, param="thread", details=details)

    def refuse_edits(self) -> None:
        """Raise for edits of the context, but for those of thoughts, which no prompt holds."""
        edits = (self.context_management or {}).get("edits") or ()
        if not isinstance(edits, list | tuple):
            raise invalid("context_management.edits", "is no list: leave it out")
        for index, edit in enumerate(edits):
            if not (isinstance(edit, dict) and str(edit.get("type")).startswith("clear_thinking_")):
                raise unsupported(f"context_management.edits[{index}]", edit)

    def json_format(self, *, calls: bool) -> JsonFormat | None:
        """What the answer must obey; None is text. calls: whether it may hold calls."""
        if self.output_config is None or self.output_config.format is None:
            return None
        if calls:
            problem = 'is set beside tools: send one of the two, or tool_choice "none"'
            raise invalid("output_config.format", problem)
        return JsonFormat(self.output_config.format.schema_)

    @property
    def ends_with_the_assistant(self) -> bool:
        """Whether the last message is the beginning of the answer."""
        return bool(self.messages[-1].get("role") == "assistant")


class MessagesBody(PromptBody):
    """The body of POST /v1/messages."""

    max_tokens: int = Field(ge=1)
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, lt=2**31)
    stop_sequences: Stops | None = None
    stream: bool | None = None

    def generation(self) -> ChatRequest:
        """The request. Raises ApiError 400 naming a field that is not supported."""
        if self.ends_with_the_assistant:
            problem = "is of the assistant: answers cannot be prefilled here; end with the user"
            raise invalid(f"messages[{len(self.messages) - 1}]", problem)
        temperature = 1.0 if self.temperature is None else self.temperature
        return self.request(
            max_tokens=self.max_tokens,
            temperature=temperature * TEMPERATURE_SCALE,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=self.top_k or 0,
            stop=tuple(self.stop_sequences or ()),
        )

    @property
    def show_thinking(self) -> bool:
        """Whether the client wants to see thoughts."""
        return self.thinking is not None and self.thinking.type != "disabled"


def message_routes(chat: ChatGenerator, names: ServedNames) -> APIRouter:
    """The route of messages for one model."""
    router = APIRouter()

    @router.post(MESSAGES_PATH, responses=STREAMABLE | MESSAGE_ANSWERS)
    async def messages(body: MessagesBody, request: Request) -> Response:
        names.check(body.model)
        answer = in_their_words(chat.stream(body.generation()))
        head = {"id": f"msg_{uuid.uuid4().hex}", "model": body.model}
        events = message_events(answer, head, show_thinking=body.show_thinking)
        if body.stream:
            return EventStream(sent_events(events), message_error_event)
        message = await unless_client_leaves(request.receive, whole_message(events))
        if message is None:
            return Response(status_code=CLIENT_LEFT)
        # ASCII: a call's input may hold a lone surrogate, which has no other way to be sent.
        return Response(json.dumps(message), media_type="application/json")

    return router


def count_routes(coder: PromptCoder, names: ServedNames) -> APIRouter:
    """The route that counts the tokens of a prompt."""
    router = APIRouter()

    @router.post(f"{MESSAGES_PATH}/count_tokens", responses=MESSAGE_ANSWERS)
    async def count_tokens(body: PromptBody) -> dict[str, int]:
        names.check(body.model)
        return {"input_tokens": await asyncio.to_thread(count, body, coder)}

    return router


def count(body: PromptBody, coder: PromptCoder) -> int:
    """The prompt's size; what ends with the assistant counts as the history that it will be."""
    request = body.request()
    tools = () if request.tool_choice == "none" else request.tools
    try:
        ids = coder.encode_chat(
            request.messages, tools, generation_prompt=not body.ends_with_the_assistant
        )
    except RenderError as error:
        raise message_error(error) from error
    return len(ids)
