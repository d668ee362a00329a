"""Reads a JSON Schema into shapes, exactly, or refuses it by keyword."""

from openk2.grammar.schema.admits import admits, disjoint, node_of
from openk2.grammar.schema.least_scalar import exact, least_size, least_text
from openk2.grammar.schema.loosening import leave_formats, loosen
from openk2.grammar.schema.numbers import MAX_DIGITS, MAX_INTEGER
from openk2.grammar.schema.reading import Reading, read
from openk2.grammar.schema.scalars import whole_words

__all__ = [
    "MAX_DIGITS",
    "MAX_INTEGER",
    "Reading",
    "admits",
    "disjoint",
    "exact",
    "least_size",
    "least_text",
    "leave_formats",
    "loosen",
    "node_of",
    "read",
    "whole_words",
]
