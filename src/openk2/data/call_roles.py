"""Which tokens of a tool call are its tool's name, which its arguments' keys and values.

What is found is bytes; a token has the largest role of its bytes. In K2's own vocabulary, and
between ASCII signs in any, a token may reach over the end of a value (`"}`). The model gets such a
token right or wrong as a whole, and with it the value.

What ends a name, key or value is part of it: to stop after `New` or go on to `New York` is half of
copying it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from openk2.data.role import Role

Span = tuple[int, int, Role]  # bytes from, to

_PREFIX = b"functions."
# Strings, the last of which may lack its end, and every other run without punctuation. In JSON only
# keys are followed by a colon, so no nesting needs to be followed.
_PART = re.compile(
    rb'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*"?)(?P<colon>\s*:)?|[^\s{}\[\],:"]+', re.DOTALL
)


def name_roles(tokens: Sequence[bytes]) -> NDArray[np.uint8]:
    """uint8, a role a token, of a call's id: NAME in `functions.NAME:IDX` with the colon after it.

    An id of another form names nothing.
    """
    return _roles(tokens, _name(b"".join(tokens)))


def argument_roles(tokens: Sequence[bytes]) -> NDArray[np.uint8]:
    """uint8, a role a token, of a call's arguments, JSON or what was meant to be.

    KEY: keys at any depth, VALUE: strings, numbers, true, false and null. A string's second quote
    belongs to it, its first is STRUCTURE, as all other punctuation.
    """
    return _roles(tokens, _arguments(b"".join(tokens)))


def _name(call_id: bytes) -> Iterator[Span]:
    name, _, number = call_id.rpartition(b":")
    if name.startswith(_PREFIX) and number.isdigit():
        yield len(_PREFIX), len(name) + 1, Role.NAME


def _arguments(text: bytes) -> Iterator[Span]:
    for part in _PART.finditer(text):
        if part["string"] is None:
            yield part.start(), part.end(), Role.VALUE
        else:
            role = Role.VALUE if part["colon"] is None else Role.KEY
            yield part.start() + 1, part.end("string"), role


def _roles(tokens: Sequence[bytes], spans: Iterable[Span]) -> NDArray[np.uint8]:
    """The largest role of each token's bytes; STRUCTURE outside the spans."""
    sizes = np.array([len(token) for token in tokens], np.int64)
    roles = np.full(int(sizes.sum()), Role.STRUCTURE, np.uint8)
    for start, end, role in spans:
        roles[start:end] = role
    largest: NDArray[np.uint8] = np.maximum.reduceat(roles, np.cumsum(sizes) - sizes)
    return largest
