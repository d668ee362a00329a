"""`ChatGenerator`: messages in, events of text and tool calls out, wherever the tokens come from.

Three of them: `RenderedChat` (K2's format over any TokenGenerator), `HttpChat` (any
OpenAI-compatible server) and `ScriptedChat` (answers given in advance). `CompletionGenerator` is
the same for raw text; `RawCompletion` is one over any TokenGenerator. `UpstreamTokens` makes a
TokenGenerator of engines that others run, `UpstreamChat` a ChatGenerator of those that only chat.
What talks to a model depends on this room and needs no tensors.
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
from openk2.generation.completion import (
    Completion,
    CompletionEvent,
    CompletionGenerator,
    CompletionRequest,
    complete_text,
)
from openk2.generation.http import EndpointError, HttpChat, served_models
from openk2.generation.prompt_coder import PromptCoder
from openk2.generation.raw import RawCompletion
from openk2.generation.rendered import RenderedChat
from openk2.generation.request_error import ContextLengthError, RequestError
from openk2.generation.scores import ScoredToken, TokensScored
from openk2.generation.scripted import ScriptedChat
from openk2.generation.settings import GenerationSettings
from openk2.generation.token_stream import token_chunks
from openk2.generation.upstream import Upstream, UpstreamError
from openk2.generation.upstream_chat import UpstreamChat
from openk2.generation.upstream_guidance import GuidedMasks
from openk2.generation.upstream_pool import UpstreamPool
from openk2.generation.upstream_tokens import UpstreamTokens

__all__ = [
    "ChatAnswer",
    "ChatEvent",
    "ChatFinish",
    "ChatFinishReason",
    "ChatGenerator",
    "ChatRequest",
    "Completion",
    "CompletionEvent",
    "CompletionGenerator",
    "CompletionRequest",
    "ContextLengthError",
    "EndpointError",
    "GenerationSettings",
    "GuidedMasks",
    "HttpChat",
    "JsonFormat",
    "NamedTool",
    "OutputMasks",
    "PromptCoder",
    "PromptRead",
    "RawCompletion",
    "RenderedChat",
    "RequestError",
    "ScoredToken",
    "ScriptedChat",
    "TokensScored",
    "ToolChoice",
    "Upstream",
    "UpstreamChat",
    "UpstreamError",
    "UpstreamPool",
    "UpstreamTokens",
    "complete",
    "complete_text",
    "served_models",
    "token_chunks",
]
