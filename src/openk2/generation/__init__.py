"""`ChatGenerator`: messages in, events of text and tool calls out, wherever the tokens come from.

Three of them: `RenderedChat` (K2's format over any TokenGenerator), `HttpChat` (any
OpenAI-compatible server) and `ScriptedChat` (answers given in advance). What talks to a model
depends on this room and needs no tensors.
"""

from openk2.generation.answer import ChatAnswer, complete
from openk2.generation.chat import (
    ChatEvent,
    ChatFinish,
    ChatFinishReason,
    ChatGenerator,
    ChatRequest,
    ContextLengthError,
)
from openk2.generation.http import EndpointError, HttpChat, served_models
from openk2.generation.rendered import RenderedChat
from openk2.generation.scripted import ScriptedChat

__all__ = [
    "ChatAnswer",
    "ChatEvent",
    "ChatFinish",
    "ChatFinishReason",
    "ChatGenerator",
    "ChatRequest",
    "ContextLengthError",
    "EndpointError",
    "HttpChat",
    "RenderedChat",
    "ScriptedChat",
    "complete",
    "served_models",
]
