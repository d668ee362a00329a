"""`ChatGenerator`: messages in, events of text and tool calls out, wherever the tokens come from.

Three of them: `RenderedChat` (K2's format over any TokenGenerator), `HttpChat` (any
OpenAI-compatible server) and `ScriptedChat` (answers given in advance). `CompletionGenerator` is
the same for raw text; `RawCompletion` is one over any TokenGenerator. Code that talks to a model
depends on this package and needs no tensors.
"""

from openk2.generation.answer import ChatAnswer, complete
from openk2.generation.chat import (
    ChatEvent,
    ChatFinish,
    ChatFinishReason,
    ChatGenerator,
    ChatRequest,
    JsonFormat,
    NamedTool,
    OutputMasks,
    PromptRead,
    ToolChoice,
)
from openk2.generation.chat_format import ChatFormat, K2Format, TemplateFormat
from openk2.generation.completion import (
    DEFAULT_MAX_TOKENS,
    Completion,
    CompletionEvent,
    CompletionGenerator,
    CompletionRequest,
    complete_text,
)
from openk2.generation.connections import Connections
from openk2.generation.encoding import key_of, text_size
from openk2.generation.endpoint import (
    BUSY_STATUSES,
    ConnectionLostError,
    EndpointError,
    UnreachableError,
    api_root,
    credentials,
    error_message,
)
from openk2.generation.http_chat import HttpChat
from openk2.generation.http_reading import (
    MAX_BODY_BYTES,
    UNCOMPRESSED,
    UNREADABLE,
    AnswerBounds,
    data_objects,
    json_headers,
    read_body,
    seconds_of,
    served_models,
)
from openk2.generation.http_request import ALWAYS_SENT, sampling_json
from openk2.generation.json_body import JsonBody
from openk2.generation.mask_work import MaskWork
from openk2.generation.prompt_coder import PromptCoder
from openk2.generation.raw import RawCompletion
from openk2.generation.rendered import RenderedChat
from openk2.generation.request_error import ContextLengthError, RequestError
from openk2.generation.scores import ScoredToken, TokensScored
from openk2.generation.scripted import ScriptedChat
from openk2.generation.settings import GenerationSettings
from openk2.generation.shared_threads import SharedThreads, SharedWork
from openk2.generation.thinking import (
    ThinkingFields,
    ThinkingPlan,
    asks_to_think,
    keeps_thoughts,
    refuse_budget,
    thinking_budget,
)
from openk2.generation.token_stream import token_chunks

__all__ = [
    "ALWAYS_SENT",
    "BUSY_STATUSES",
    "DEFAULT_MAX_TOKENS",
    "MAX_BODY_BYTES",
    "UNCOMPRESSED",
    "UNREADABLE",
    "AnswerBounds",
    "ChatAnswer",
    "ChatEvent",
    "ChatFinish",
    "ChatFinishReason",
    "ChatFormat",
    "ChatGenerator",
    "ChatRequest",
    "Completion",
    "CompletionEvent",
    "CompletionGenerator",
    "CompletionRequest",
    "ConnectionLostError",
    "Connections",
    "ContextLengthError",
    "EndpointError",
    "GenerationSettings",
    "HttpChat",
    "JsonBody",
    "JsonFormat",
    "K2Format",
    "MaskWork",
    "NamedTool",
    "OutputMasks",
    "PromptCoder",
    "PromptRead",
    "RawCompletion",
    "RenderedChat",
    "RequestError",
    "ScoredToken",
    "ScriptedChat",
    "SharedThreads",
    "SharedWork",
    "TemplateFormat",
    "ThinkingFields",
    "ThinkingPlan",
    "TokensScored",
    "ToolChoice",
    "UnreachableError",
    "api_root",
    "asks_to_think",
    "complete",
    "complete_text",
    "credentials",
    "data_objects",
    "error_message",
    "json_headers",
    "keeps_thoughts",
    "key_of",
    "read_body",
    "refuse_budget",
    "sampling_json",
    "seconds_of",
    "served_models",
    "text_size",
    "thinking_budget",
    "token_chunks",
]
