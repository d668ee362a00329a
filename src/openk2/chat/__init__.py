"""Messages <-> token ids: the tokenizer, its training, and K2's conversation format."""

from openk2.chat.call_ids import argument_names, call_id
from openk2.chat.events import (
    CallArguments,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputEvent,
    ToolCall,
)
from openk2.chat.export import export_tokenizer
from openk2.chat.history import CanonicalHistory, canonical_history
from openk2.chat.parsing import OutputParser, ParsedOutput, parse_output
from openk2.chat.rendering import EncodedChat, Piece, RenderError, encode_chat, render
from openk2.chat.tokenizer import Tokenizer, TokenizerError
from openk2.chat.training import train_tokenizer

__all__ = [
    "CallArguments",
    "CallEnd",
    "CallStart",
    "CanonicalHistory",
    "ContentDelta",
    "EncodedChat",
    "OutputEvent",
    "OutputParser",
    "ParsedOutput",
    "Piece",
    "RenderError",
    "Tokenizer",
    "TokenizerError",
    "ToolCall",
    "argument_names",
    "call_id",
    "canonical_history",
    "encode_chat",
    "export_tokenizer",
    "parse_output",
    "render",
    "train_tokenizer",
]
