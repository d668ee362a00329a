"""Shapes as Lark grammars, for masks and for engines that enforce a grammar themselves."""

from openk2.grammar.lark.remainder import Remainder
from openk2.grammar.lark.rules import LarkRules, value
from openk2.grammar.lark.scalar_rules import literal

__all__ = ["LarkRules", "Remainder", "literal", "value"]
