"""Messages <-> token ids: the tokenizer, its training, and K2's conversation format."""

from openk2.chat.call_ids import argument_names, call_id
from openk2.chat.events import (
    CallArguments,
    CallCounts,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputEvent,
    ReasoningDelta,
    ToolCall,
)
from openk2.chat.export import export_tokenizer
from openk2.chat.history import CanonicalHistory, canonical_history
from openk2.chat.parsed import ParsedOutput, join_events, parse_output, parse_output_text
from openk2.chat.parsing import OutputParser
from openk2.chat.rendering import (
    EncodedChat,
    Piece,
    RenderError,
    encode_chat,
    encode_piece,
    render,
)
from openk2.chat.tokenizer import Tokenizer, TokenizerError
from openk2.chat.training import train_tokenizer

__all__ = [
    "CallArguments",
    "CallCounts",
    "CallEnd",
    "CallStart",
    "CanonicalHistory",
    "ContentDelta",
    "EncodedChat",
    "OutputEvent",
    "OutputParser",
    "ParsedOutput",
    "Piece",
    "ReasoningDelta",
    "RenderError",
    "Tokenizer",
    "TokenizerError",
    "ToolCall",
    "argument_names",
    "call_id",
    "canonical_history",
    "encode_chat",
    "encode_piece",
    "export_tokenizer",
    "join_events",
    "parse_output",
    "parse_output_text",
    "render",
    "train_tokenizer",
]
