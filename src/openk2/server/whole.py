"""`whole_json`: an answer that is sent whole, written off the event loop."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from starlette.responses import Response

# Entries that one call writes. It holds the interpreter's lock for a millisecond or two if each
# has 20 likeliest tokens.
ROWS = 64


async def whole_json(
    answer: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """The response with this JSON. An iterator in it is written as a list."""
    body = await asyncio.to_thread(written, answer)
    return Response(body, headers=headers, media_type="application/json")


def written(answer: Mapping[str, Any]) -> bytes:
    """The JSON; ASCII, since a text may hold a lone surrogate, which UTF-8 cannot encode."""
    return "".join(pieces(answer)).encode()


def pieces(value: Any) -> Iterator[str]:
    """The JSON of a value, piece by piece, so that other threads get their turn."""
    if isinstance(value, Mapping):
        opened = "{"
        for name, item in value.items():
            yield f"{opened}{json.dumps(name)}:"
            yield from pieces(item)
            opened = ","
        yield "{}" if opened == "{" else "}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield "," if index else "["
            yield from pieces(item)
        yield "]" if value else "[]"
    elif isinstance(value, Iterator):
        yield "["
        begun = False
        while rows := list(islice(value, ROWS)):
            yield f"{',' if begun else ''}{json.dumps(rows, separators=(',', ':'))[1:-1]}"
            begun = True
        yield "]"
    else:
        yield json.dumps(value)
