"""Runs in the sandbox, in both processes of a Python verdict: values as JSON, and back.

Built-in values cross as themselves, subclasses as what they are made of, everything else as the
number of a handle. Nothing here calls a method that the value's own class defines.
"""

import base64
import builtins
from typing import Any

_PARTS: tuple[tuple[str, Any], ...] = (
    ("l", list),
    ("t", tuple),
    ("s", set),
    ("z", frozenset),
)
_PLAIN: tuple[tuple[str, Any], ...] = (("i", int), ("f", float), ("u", str))


def make_handle(number: int) -> Any:
    """The object of a handle's number; each process puts its own way here."""
    raise NotImplementedError(number)


def number_of(value: Any) -> int | None:
    """The number of an object that crosses as a handle; None if it cannot cross."""
    raise NotImplementedError(value)


def encode(value: Any) -> Any:
    """A value as JSON: [tag, content]."""
    kind: Any = type(value)
    if value is None or kind is bool:
        return ["j", value]
    for tag, base in _PLAIN:
        if issubclass(kind, base):
            plain = base.__str__(value) if base is str else base.__repr__(value)
            return [tag, plain]
    if issubclass(kind, complex):
        return ["c", complex.__repr__(value)]
    if issubclass(kind, bytes | bytearray):
        return ["b" if issubclass(kind, bytes) else "a", base64.b64encode(value).decode()]
    if issubclass(kind, dict):
        return [
            "d",
            [[encode(key), encode(dict.__getitem__(value, key))] for key in dict.__iter__(value)],
        ]
    for tag, base in _PARTS:
        if issubclass(kind, base):
            return [tag, [encode(part) for part in base.__iter__(value)]]
    if kind is type and vars(builtins).get(type.__getattribute__(value, "__name__")) is value:
        return ["y", type.__getattribute__(value, "__name__")]
    if kind.__module__ == "numpy" and hasattr(kind, "tolist"):
        return encode(value.tolist())
    number = number_of(value)
    if number is None:
        raise TypeError(f"{kind.__name__}: cannot be handed to the program")
    return ["h", number]


def decode(coded: Any) -> Any:
    """A value from JSON. Raises ValueError, TypeError or KeyError if it is none of `encode`'s."""
    tag, content = coded
    if tag == "j" and (content is None or isinstance(content, bool)):
        return content
    if tag == "d":
        return {decode(key): decode(part) for key, part in content}
    if tag == "h":
        return make_handle(int(content))
    if tag == "y" and isinstance(getattr(builtins, content), type):
        return getattr(builtins, content)
    if tag in ("b", "a"):
        data = base64.b64decode(content)
        return data if tag == "b" else bytearray(data)
    if tag in ("i", "f", "u", "c"):
        return {"i": int, "f": float, "u": str, "c": complex}[tag](content)
    return dict(_PARTS)[tag](decode(part) for part in content)
