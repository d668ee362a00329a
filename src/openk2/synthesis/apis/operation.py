"""One operation of a public API, as the synthesis reads it, and its form as a JSON line."""

from dataclasses import dataclass
from typing import Any

Literal = str | int


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of an operation, or a value that it returns.

    name: as the API spells it. words: the same in plain words ("customer id").
    type: string, integer, number, boolean, array or object.
    kind: what its values look like, a key of `kinds.SAMPLERS` ("" for enums and objects).
    items: an array's item type. enum: the values allowed (an array's: of its items).
    fields: an object's.
    """

    name: str
    words: str
    type: str
    kind: str = ""
    description: str = ""
    required: bool = False
    enum: tuple[Literal, ...] = ()
    items: str = ""
    fields: tuple["Field", ...] = ()

    def row(self) -> dict[str, Any]:
        """The field as JSON; what is empty is left out."""
        row: dict[str, Any] = {"name": self.name, "words": self.words, "type": self.type}
        if self.required:
            row["required"] = True
        for key in ("kind", "description", "items"):
            if getattr(self, key):
                row[key] = getattr(self, key)
        if self.enum:
            row["enum"] = list(self.enum)
        if self.fields:
            row["fields"] = [field.row() for field in self.fields]
        return row


@dataclass(frozen=True, slots=True)
class Operation:
    """Something an API does: `verb` and `object` say it in the imperative ("list", "invoices").

    name: the API's own, made of letters, digits, "_" and "-". description: one sentence, or "".
    returns: scalar values of the answer. many: whether the answer is a list of them.
    """

    provider: str
    name: str
    verb: str
    object: str
    description: str
    fields: tuple[Field, ...]
    returns: tuple[Field, ...]
    many: bool

    def row(self) -> dict[str, Any]:
        """The operation as JSON."""
        return {
            "provider": self.provider,
            "name": self.name,
            "verb": self.verb,
            "object": self.object,
            "description": self.description,
            "parameters": [field.row() for field in self.fields],
            "returns": [field.row() for field in self.returns],
            "many": self.many,
        }


def read_field(row: dict[str, Any]) -> Field:
    """The field of a JSON row. Raises KeyError without name, words or type."""
    return Field(
        row["name"],
        row["words"],
        row["type"],
        row.get("kind", ""),
        row.get("description", ""),
        row.get("required", False),
        tuple(row.get("enum", ())),
        row.get("items", ""),
        tuple(read_field(field) for field in row.get("fields", ())),
    )


def read_operation(row: dict[str, Any]) -> Operation:
    """The operation of a JSON row. Raises KeyError naming what is missing."""
    return Operation(
        row["provider"],
        row["name"],
        row["verb"],
        row["object"],
        row["description"],
        tuple(read_field(field) for field in row["parameters"]),
        tuple(read_field(field) for field in row["returns"]),
        row["many"],
    )
