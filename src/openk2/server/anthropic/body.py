"""The bodies of Anthropic's Messages routes as pydantic reads them, and the request they make."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from openk2.generation import ChatRequest, JsonFormat, RequestError, ThinkingFields
from openk2.protocol import SAMPLING_SETTINGS, Sampling
from openk2.server.anthropic.blocks import chat_messages
from openk2.server.anthropic.context_edits import uncleared_turns
from openk2.server.anthropic.errors import message_error
from openk2.server.anthropic.tools import (
    MessageTool,
    MessageToolChoice,
    function_tools,
    offered,
    read_tool_choice,
)
from openk2.server.errors import ApiError
from openk2.server.openai.fields import Stops
from openk2.server.refusals import Neutral, invalid, refuse_unsupported
from openk2.server.thoughts import ThoughtSigner

# Kimi-K2's README: real_temperature = request_temperature * 0.6, so that 1.0, the default of this
# interface, becomes the recommended temperature.
TEMPERATURE_SCALE = 0.6
# What this interface means without the field; the other levels go to the model's chat format.
MESSAGES_NEUTRAL: Neutral = {
    "compaction": (),
    "container": (),
    "mcp_servers": ([],),
}

TEXT_BLOCK_SCHEMA = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
}
TEXTS_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": TEXT_BLOCK_SCHEMA}]}
MESSAGE_SCHEMA = {
    "type": "object",
    "description": "Blocks are text, document (of text), search_result, tool_use, tool_result, "
    "thinking and redacted_thinking.",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["user", "assistant", "system"]},
        "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
    },
}
InputMessage = Annotated[dict[str, Any], WithJsonSchema(MESSAGE_SCHEMA)]
System = Annotated[Any, WithJsonSchema({"anyOf": [*TEXTS_SCHEMA["anyOf"], {"type": "null"}]})]


class OutputFormat(BaseModel):
    """`output_config.format`, or `output_format`, its name before."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    """`output_config`. effort: a hint, which no model of the family has levels for; agents send it
    unasked, so every level is taken and changes nothing."""

    model_config = ConfigDict(extra="allow")

    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class ThinkingConfig(BaseModel):
    """`thinking`: whether to think and to show it; K2-Instruct does not think.

    display: "omitted": think, and send no thought.
    """

    model_config = ConfigDict(extra="allow")

    type: str
    display: Literal["summarized", "updates", "omitted"] | None = None


class PromptBody(BaseModel):
    """The fields that make the prompt: the body of POST /v1/messages/count_tokens."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    messages: list[InputMessage] = Field(min_length=1)
    system: System = None
    tools: list[MessageTool] | None = None
    tool_choice: MessageToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    context_management: dict[str, Any] | None = None
    thread: dict[str, Any] | None = None

    def request(self, signer: ThoughtSigner, tenant: str = "", **settings: Any) -> ChatRequest:
        """The request. signer: verifies thoughts. tenant: whose it is.

        Raises ApiError 400 naming a field that is not supported.
        """
        refuse_unsupported(self.model_extra, MESSAGES_NEUTRAL)
        self.refuse_thread()
        messages = chat_messages(self.system, self.messages, signer)
        # Only a text can be continued; a last turn of thoughts alone is no turn at all.
        begun = (
            bool(messages) and self.ends_with_the_assistant and messages[-1]["role"] == "assistant"
        )
        single = self.tool_choice is not None and self.tool_choice.disable_parallel_tool_use
        try:
            return ChatRequest(
                messages=messages,
                tools=function_tools(self.offered_tools),
                tool_choice=read_tool_choice(self.tool_choice),
                parallel_tool_calls=not single,
                response_format=self.json_format(),
                is_continued=begun and bool(settings),
                thinking=self.thinking_fields(),
                tenant=tenant,
                **settings,
            )
        except RequestError as error:
            raise message_error(error, self.moved(len(messages))) from error

    @property
    def offered_tools(self) -> list[tuple[int, MessageTool]]:
        """The tools to declare, with their places."""
        return offered(self.tools or (), self.messages, self.tool_choice)

    def moved(self, turns: int) -> Mapping[str, str]:
        """Where the body has what the request has elsewhere: tools, and the last message.

        turns: of the request. A body's messages may be several turns, or share one.
        """
        tools = {
            f"tools[{new}]": f"tools[{old}]" for new, (old, _) in enumerate(self.offered_tools)
        }
        return {**tools, f"messages[{turns - 1}]": f"messages[{len(self.messages) - 1}]"}

    def thinking_fields(self) -> ThinkingFields:
        """Whether to think, and which earlier thoughts stay. Without `thinking`, or with it
        disabled, nobody reads thoughts."""
        asked = None if self.thinking is None else self.thinking.model_dump(exclude_unset=True)
        return ThinkingFields(
            asked,
            hidden=not self.wants_thoughts,
            uncleared=uncleared_turns(self.context_management),
            unasked=True,
        )

    @property
    def wants_thoughts(self) -> bool:
        """Whether the client wants the model to think."""
        return self.thinking is not None and self.thinking.type != "disabled"

    @property
    def shows_thoughts(self) -> bool:
        """Whether it also wants to see what is thought."""
        display = None if self.thinking is None else self.thinking.display
        return self.wants_thoughts and display != "omitted"

    def refuse_thread(self) -> None:
        """Raise for a conversation that the server would have to store.

        The official client's tool runner requests one; after this refusal it sends the whole
        history each time.
        """
        if self.thread is not None:
            message = "thread: this server keeps no conversations; send all messages, without it"
            details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
            raise ApiError(400, message, param="thread", details=details)

    def json_format(self) -> JsonFormat | None:
        """The schema the answer must satisfy; None is text."""
        wanted = self.output_config.format if self.output_config else None
        if wanted and self.output_format and wanted != self.output_format:
            raise invalid("output_format", "differs from output_config.format: send one of them")
        wanted = wanted or self.output_format
        return None if wanted is None else JsonFormat(wanted.schema_)

    @property
    def ends_with_the_assistant(self) -> bool:
        """Whether the last message would be the start of the answer."""
        return bool(self.messages[-1].get("role") == "assistant")


class MessagesBody(PromptBody):
    """The body of POST /v1/messages."""

    max_tokens: int = Field(ge=1)
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0, lt=2**31)
    stop_sequences: Stops | None = None
    stream: bool | None = None

    def generation(self, signer: ThoughtSigner, tenant: str = "") -> ChatRequest:
        """See `request`, with the settings that the client chose."""
        refuse_unsupported(self.model_extra, SAMPLING_NEUTRAL)
        return self.request(
            signer,
            tenant,
            max_tokens=self.max_tokens,
            stop=tuple(self.stop_sequences or ()),
            **self.settings(),
        )

    def settings(self) -> dict[str, Any]:
        """The fields of `Sampling` that the client set, the temperature scaled to K2's."""
        given = {
            name: getattr(self, name)
            for name in SAMPLING_SETTINGS
            if name in type(self).model_fields
        }
        temperature = 1.0 if self.temperature is None else self.temperature
        given["temperature"] = temperature * TEMPERATURE_SCALE
        return {name: value for name, value in given.items() if value is not None}


# Anthropic's interface has three of the sampling settings; the others are refused unless off.
SAMPLING_NEUTRAL: Neutral = {
    name: (default,)
    for name, default in Sampling().settings().items()
    if name not in MessagesBody.model_fields
}
