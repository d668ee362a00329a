"""The shortest end of a value, from its shapes and from any text that begins it."""

from openk2.grammar.ending.begun import arrays, next_named, objects, place
from openk2.grammar.ending.closer import Closer
from openk2.grammar.ending.least import Least, quoted
from openk2.grammar.ending.partial import OpenArray, OpenObject, Partial, read_partial

__all__ = [
    "Closer",
    "Least",
    "OpenArray",
    "OpenObject",
    "Partial",
    "arrays",
    "next_named",
    "objects",
    "place",
    "quoted",
    "read_partial",
]
