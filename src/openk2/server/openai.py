"""OpenAI's chat completions: the request as pydantic reads it, and the answer in its words.

A field that is accepted is obeyed. A known field that is not supported is refused by name unless
its value is the neutral one; fields nobody here knows are tolerated, since clients send many.
"""

import json
import reprlib
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from openk2.chat import CallArguments, CallStart, ContentDelta
from openk2.generation import (
    ChatAnswer,
    ChatEvent,
    ChatFinish,
    ChatGenerator,
    ChatRequest,
    complete,
)
from openk2.server.errors import ApiError, error_event
from openk2.server.stream import EventStream, unless_client_leaves

DEFAULT_TEMPERATURE = 0.6  # the README's recommendation for Kimi-K2-Instruct
CLIENT_LEFT = 499

# Fields that change an answer and are not supported, with the values that leave it as it is.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "use_beam_search": (False,),
    "stop": ([],),
    "stop_token_ids": ([],),
    "include_stop_str_in_output": (False,),
    "bad_words": ([],),
    "ignore_eos": (False,),
    "min_tokens": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "prompt_logprobs": (),
    "logit_bias": ({},),
    "allowed_token_ids": (),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "length_penalty": (1,),
    "min_p": (0,),
    "response_format": ({"type": "text"},),
    "structured_outputs": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "functions": ([],),
    "function_call": ("auto", "none"),
    "parallel_tool_calls": (True,),
    "reasoning_effort": ("none",),
    "thinking": ({"type": "disabled"},),
    "verbosity": ("medium",),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "echo": (False,),
    "skip_special_tokens": (True,),
    "truncate_prompt_tokens": (),
    "documents": ([],),
    "continue_final_message": (False,),
    "add_generation_prompt": (True,),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
# The same of a message: Moonshot's prefix to go on from, OpenAI's older calls, OpenAI's audio.
MESSAGE_FIELDS = ("partial", "function_call", "audio")


def or_default(default: Any) -> BeforeValidator:
    """null, which some clients send for "not set", means the default."""
    return BeforeValidator(lambda value: default if value is None else value)


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


class StreamOptions(BaseModel):
    """What a stream holds beside the answer."""

    model_config = ConfigDict(strict=True)

    include_usage: Annotated[bool, or_default(False)] = False


class ChatCompletionRequest(BaseModel):
    """The body of POST /v1/chat/completions. Messages are checked where they are rendered."""

    # Strict: "false" is not false, and true is not 1 token.
    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    tools: Annotated[list[Tool], or_default([])] = []
    tool_choice: Any = None
    temperature: Annotated[float, or_default(DEFAULT_TEMPERATURE)] = Field(
        DEFAULT_TEMPERATURE, ge=0, le=2
    )
    top_p: Annotated[float, or_default(1.0)] = Field(1.0, gt=0, le=1)
    top_k: Annotated[int, or_default(0)] = Field(0, ge=-1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stream: Annotated[bool, or_default(False)] = False
    stream_options: Annotated[StreamOptions, or_default({})] = StreamOptions()

    def chat_request(self) -> ChatRequest:
        """The request in our terms. Raises ApiError 400 naming a field that is not supported."""
        self.refuse_unsupported()
        self.check_tool_names()
        limits = [n for n in (self.max_tokens, self.max_completion_tokens) if n is not None]
        return ChatRequest(
            messages=[as_rendered(message) for message in self.messages],
            tools=[tool.model_dump(exclude_unset=True) for tool in self.tools],
            tool_choice=self.checked_tool_choice(),
            max_tokens=min(limits, default=None),
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=max(self.top_k, 0),
            seed=self.seed,
        )

    def refuse_unsupported(self) -> None:
        """Raise for a field of NEUTRAL or MESSAGE_FIELDS in use, and for strict tools."""
        for name, value in (self.model_extra or {}).items():
            if name in NEUTRAL and value is not None and value not in NEUTRAL[name]:
                raise unsupported(name, value)
        for index, message in enumerate(self.messages):
            for name in MESSAGE_FIELDS:
                if message.get(name):
                    raise unsupported(f"messages[{index}].{name}", message[name])
        for index, tool in enumerate(self.tools):
            if tool.function.strict:
                raise unsupported(f"tools[{index}].function.strict", True)

    def check_tool_names(self) -> None:
        """Raise for two tools of the same name."""
        names: set[str] = set()
        for index, tool in enumerate(self.tools):
            name = tool.function.name
            if name in names:
                param = f"tools[{index}].function.name"
                message = f"{param}: {name!r} is declared twice"
                raise ApiError(400, message, param=param, code="invalid_value")
            names.add(name)

    def checked_tool_choice(self) -> Literal["auto", "none"]:
        """Raise for a choice that forces a call, and for what is no choice at all."""
        choice = self.tool_choice
        if choice is None:
            return "auto"
        if choice in ("auto", "none"):
            return cast(Literal["auto", "none"], choice)
        if choice == "required" or isinstance(choice, dict):
            raise unsupported("tool_choice", choice)
        message = f'tool_choice is {reprlib.repr(choice)}: it must be "auto" or "none"'
        raise ApiError(400, message, param="tool_choice", code="invalid_value")


def unsupported(name: str, value: Any) -> ApiError:
    """The refusal of a known field."""
    message = f"{name} is {reprlib.repr(value)}: this server does not support it; leave it out"
    return ApiError(400, message, param=name, code="unsupported_value")


def as_rendered(message: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's newer name for the system role is `developer`; K2 has one role for both."""
    return {**message, "role": "system"} if message.get("role") == "developer" else message


def chat_routes(chat: ChatGenerator, model: str) -> APIRouter:
    """The routes under /v1 for one model."""
    router = APIRouter(prefix="/v1")
    card = {"id": model, "object": "model", "created": int(time.time()), "owned_by": "openk2"}

    @router.get("/models")
    async def list_models() -> JSONResponse:
        return JSONResponse({"object": "list", "data": [card]})

    @router.get("/models/{name:path}")
    async def retrieve_model(name: str) -> JSONResponse:
        check_model(name, model)
        return JSONResponse(card)

    @router.post("/chat/completions")
    async def chat_completions(body: ChatCompletionRequest, request: Request) -> Response:
        check_model(body.model, model)
        chat_request = body.chat_request()
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk" if body.stream else "chat.completion",
            "created": int(time.time()),
            "model": model,
        }
        if body.stream:
            events = chat.stream(chat_request)
            chunks = completion_chunks(events, head, body.stream_options.include_usage)
            return EventStream(chunks, error_event)
        answer = await unless_client_leaves(request.receive, complete(chat, chat_request))
        if answer is None:
            return Response(status_code=CLIENT_LEFT)
        return JSONResponse({**head, **completion(answer)})

    return router


def check_model(name: str, served: str) -> None:
    """Raise 404 for any name but the served one."""
    if name != served:
        message = f"the model {reprlib.repr(name)} does not exist: this server has {served!r}"
        raise ApiError(404, message, param="model", code="model_not_found")


def completion(answer: ChatAnswer) -> dict[str, Any]:
    """`choices` and `usage` of a whole answer."""
    choice = {
        "index": 0,
        "message": answer.message(),
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    return {
        "choices": [choice],
        "usage": usage_json(answer.prompt_tokens, answer.completion_tokens),
    }


def usage_json(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


async def completion_chunks(
    events: AsyncGenerator[ChatEvent, None], head: dict[str, Any], include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """The chunks of a streamed answer as server-sent events.

    include_usage: send a last chunk with `usage` and no choice, as OpenAI's clients read it.
    `choices[0].usage` of the last choice, where the vendor's checks look, is always there.
    """
    no_usage = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, Any], **last: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **last}
        return data_event({**head, "choices": [choice], **no_usage})

    greeted = False
    async with aclosing(events):
        async for event in events:
            # Only when the answer has begun: an error before that is an ordinary response.
            if not greeted:
                greeted = True
                yield chunk({"role": "assistant", "content": ""})
            match event:
                case ChatFinish():
                    usage = usage_json(event.prompt_tokens, event.completion_tokens)
                    yield chunk({}, finish_reason=event.reason, usage=usage)
                    if include_usage:
                        yield data_event({**head, "choices": [], "usage": usage})
                case ContentDelta():
                    yield chunk({"content": event.text})
                case CallStart():
                    function = {"name": event.name, "arguments": ""}
                    call = {"index": event.index, "id": event.id, "type": "function"}
                    yield chunk({"tool_calls": [{**call, "function": function}]})
                case CallArguments():
                    call = {"index": event.index, "function": {"arguments": event.text}}
                    yield chunk({"tool_calls": [call]})
    yield b"data: [DONE]\n\n"


def data_event(payload: dict[str, Any]) -> bytes:
    """One server-sent event; ASCII, as some clients split lines at U+2028 and its kin."""
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"
