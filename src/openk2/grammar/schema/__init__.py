"""Reads a JSON Schema into shapes, exactly, or refuses it by keyword."""

from openk2.grammar.schema.admits import admits, disjoint, node_of
from openk2.grammar.schema.least_scalar import least_size, least_text
from openk2.grammar.schema.loosening import loosen
from openk2.grammar.schema.reading import Reading, read
from openk2.grammar.schema.scalars import MAX_INTEGER, MAX_NUMBER, whole_words

__all__ = [
    "MAX_INTEGER",
    "MAX_NUMBER",
    "Reading",
    "admits",
    "disjoint",
    "least_size",
    "least_text",
    "loosen",
    "node_of",
    "read",
    "whole_words",
]
