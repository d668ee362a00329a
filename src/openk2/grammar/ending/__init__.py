"""The shortest value of each shape, and what a text that begins a value leaves open."""

from openk2.grammar.ending.begun import arrays, next_named, objects, place
from openk2.grammar.ending.least import Least, quoted
from openk2.grammar.ending.partial import OpenArray, OpenObject, Partial, read_partial

__all__ = [
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
