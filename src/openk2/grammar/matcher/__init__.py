"""What llguidance compiles and matches: vocabularies and grammars."""

from openk2.grammar.matcher.library import compiled
from openk2.grammar.matcher.vocabulary import MaskWords, TokenVocabulary

__all__ = ["MaskWords", "TokenVocabulary", "compiled"]
