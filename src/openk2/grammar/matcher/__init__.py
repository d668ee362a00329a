"""What llguidance compiles and matches: vocabularies, plain schemas, single strings and numbers."""

from openk2.grammar.matcher.leaves import Leaves, escapes, text_rest
from openk2.grammar.matcher.library import byte_matcher, compiled
from openk2.grammar.matcher.plain import plain_leaf, plain_schema
from openk2.grammar.matcher.vocabulary import TokenVocabulary, Words

__all__ = [
    "Leaves",
    "TokenVocabulary",
    "Words",
    "byte_matcher",
    "compiled",
    "escapes",
    "plain_leaf",
    "plain_schema",
    "text_rest",
]
