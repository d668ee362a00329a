"""Token masks for tool calls and JSON answers: what a request demands becomes a `TokenMask`.

`Enforcer` makes masks from a `Demand`; `ChatMasks` makes them from a chat request. No torch.
"""

from openk2.grammar.chat_masks import ChatMasks
from openk2.grammar.course import CourseMask
from openk2.grammar.demand import DeclaredTool, Demand, JsonContent, JsonSchema, ToolCalls
from openk2.grammar.enforcer import Enforcer
from openk2.grammar.error import GrammarError

__all__ = [
    "ChatMasks",
    "CourseMask",
    "DeclaredTool",
    "Demand",
    "Enforcer",
    "GrammarError",
    "JsonContent",
    "JsonSchema",
    "ToolCalls",
]
