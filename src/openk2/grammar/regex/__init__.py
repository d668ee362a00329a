"""Regular expressions of JSON Schema: read, decided by an automaton, written for llguidance."""

from openk2.grammar.regex.language import Language
from openk2.grammar.regex.parser import parse
from openk2.grammar.regex.pattern_error import PatternError
from openk2.grammar.regex.terminal import string_terminal

__all__ = ["Language", "PatternError", "parse", "string_terminal"]
