"""Messages to token ids and back: the tokenizer, its training and K2's conversation format."""

from openk2.chat.arguments import argument_problem, read_json, schema_problem
from openk2.chat.byte_level import require_tokenizers
from openk2.chat.call_ids import argument_names, call_id
from openk2.chat.chat_files import INSTRUCT_SAMPLING, ChatFiles
from openk2.chat.checkpoint_template import CheckpointTemplate
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
from openk2.chat.export import (
    byte_level_vocabulary,
    export_tokenizer,
    free_of_code,
    require_free_of_code,
    tokenizer_config,
)
from openk2.chat.found_tokenizer import find_tokenizer, named_tokenizer
from openk2.chat.history import CanonicalHistory, canonical_history
from openk2.chat.json_text import JsonState, advance_json, breaks_off, is_json_object
from openk2.chat.json_tokenizer import JsonTokenizer
from openk2.chat.markers import SPECIAL_MARKERS, Marker, SpeltMarkers
from openk2.chat.message_fields import RenderError, call_of, content_of, is_unlearned
from openk2.chat.parsed import ParsedOutput, join_events, parse_output, parse_output_text
from openk2.chat.parsing import OutputParser
from openk2.chat.placing import tool_schemas
from openk2.chat.prompt_style import (
    INSTRUCT,
    THINK,
    THINK_END,
    PromptStyle,
    Thinking,
    ToolFormat,
    open_turn,
)
from openk2.chat.rendering import (
    DEFAULT_SYSTEM_PROMPT,
    EncodedChat,
    PromptPiece,
    as_declared,
    encode_chat,
    encode_piece,
    render,
)
from openk2.chat.stop_ids import GENERATION_FILE, read_stop_ids
from openk2.chat.template import CHAT_TEMPLATE
from openk2.chat.template_style import style_of
from openk2.chat.tokenizer import TOKENIZER_FILE, Tokenizer, TokenizerError
from openk2.chat.training import train_tokenizer

__all__ = [
    "CHAT_TEMPLATE",
    "DEFAULT_SYSTEM_PROMPT",
    "GENERATION_FILE",
    "INSTRUCT",
    "INSTRUCT_SAMPLING",
    "SPECIAL_MARKERS",
    "THINK",
    "THINK_END",
    "TOKENIZER_FILE",
    "CallArguments",
    "CallCounts",
    "CallEnd",
    "CallStart",
    "CanonicalHistory",
    "ChatFiles",
    "CheckpointTemplate",
    "ContentDelta",
    "EncodedChat",
    "JsonState",
    "JsonTokenizer",
    "Marker",
    "OutputEvent",
    "OutputParser",
    "ParsedOutput",
    "PromptPiece",
    "PromptStyle",
    "ReasoningDelta",
    "RenderError",
    "SpeltMarkers",
    "Thinking",
    "Tokenizer",
    "TokenizerError",
    "ToolCall",
    "ToolFormat",
    "advance_json",
    "argument_names",
    "argument_problem",
    "as_declared",
    "breaks_off",
    "byte_level_vocabulary",
    "call_id",
    "call_of",
    "canonical_history",
    "content_of",
    "encode_chat",
    "encode_piece",
    "export_tokenizer",
    "find_tokenizer",
    "free_of_code",
    "is_json_object",
    "is_unlearned",
    "join_events",
    "named_tokenizer",
    "open_turn",
    "parse_output",
    "parse_output_text",
    "read_json",
    "read_stop_ids",
    "render",
    "require_free_of_code",
    "require_tokenizers",
    "schema_problem",
    "style_of",
    "tokenizer_config",
    "tool_schemas",
    "train_tokenizer",
]
