"""Reads a JSON Schema into shapes, exactly, or refuses it by keyword."""

from openk2.grammar.schema.admits import admits, disjoint, node_of
from openk2.grammar.schema.patterns import found
from openk2.grammar.schema.reading import Reading
from openk2.grammar.schema.scalars import MAX_INTEGER, MAX_NUMBER

__all__ = ["MAX_INTEGER", "MAX_NUMBER", "Reading", "admits", "disjoint", "found", "node_of"]
