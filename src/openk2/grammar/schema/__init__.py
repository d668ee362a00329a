"""A JSON Schema, read: keywords, branches and types -> `Shapes`, exactly or not at all."""

from openk2.grammar.schema.admits import admits, disjoint, node_of
from openk2.grammar.schema.patterns import found
from openk2.grammar.schema.reading import Reading
from openk2.grammar.schema.scalars import MAX_INTEGER, MAX_NUMBER

__all__ = ["MAX_INTEGER", "MAX_NUMBER", "Reading", "admits", "disjoint", "found", "node_of"]
