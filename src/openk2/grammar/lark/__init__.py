"""Shapes as Lark grammars, for engines that enforce a grammar themselves."""

from openk2.grammar.lark.remainder import Remainder
from openk2.grammar.lark.rules import literal

__all__ = ["Remainder", "literal"]
