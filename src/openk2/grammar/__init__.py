"""The Enforcer: JSON Schema and K2's tool section -> token masks. No torch."""

from openk2.grammar.chat_masks import ChatMasks
from openk2.grammar.course import CourseMask
from openk2.grammar.demand import DeclaredTool, Demand, JsonContent, ToolCalls
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
    "ToolCalls",
]
