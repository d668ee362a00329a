"""Bounded reading of what a server sends, which may be hostile: never more memory than the bound,
time linear in the bytes, and an end to answers that go on without saying anything.

Answers are asked for without compression, and refused with it: a few kilobytes of it can be
gigabytes.

httpx is imported where it is used: it takes 0.1 s, and our own server, which imports this package,
does not need it.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openk2.generation.endpoint import (
    BUSY_STATUSES,
    ConnectionLostError,
    EndpointError,
    api_root,
    credentials,
    error_message,
)
from openk2.protocol import EngineBusyError

if TYPE_CHECKING:
    import httpx

UNCOMPRESSED = {"Accept-Encoding": "identity"}
# A chunk of 20 scored tokens has some kilobytes; one that carries a whole answer some hundred.
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024
# Without max_tokens an answer may fill any context.
MOST_TOKENS = 1_000_000
LISTING_SECONDS = 30.0
END_SECONDS = 0.1  # from the last event to the end of its answer, so that the connection is kept
# What reading made-up JSON can raise: other types, missing keys, 1e999 as an integer, deep nesting.
UNREADABLE = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class AnswerBounds:
    """How much one streamed answer may be. silence: seconds without a `data:` line."""

    objects: int
    size: int
    silence: float = 600.0

    @classmethod
    def of(cls, max_tokens: int | None, silence: float = 600.0) -> "AnswerBounds":
        """Generous for an answer of so many tokens, whatever an engine reports beside them."""
        tokens = MOST_TOKENS if max_tokens is None else max_tokens
        return cls(2 * tokens + 100, 16_384 * tokens + MAX_LINE_BYTES, silence)


def json_headers(api_key: str | None) -> dict[str, str]:
    """The headers of a request with a JSON body, its answer asked for as it is.

    Raises EndpointError for a key that headers cannot carry.
    """
    return {"Content-Type": "application/json", **UNCOMPRESSED, **credentials(api_key)}


async def read_body(response: "httpx.Response", most: int = MAX_BODY_BYTES) -> bytes:
    """The whole body. Raises EndpointError for one of more than `most` bytes, or compressed."""
    refuse_compressed(response)
    if response.is_stream_consumed:  # a transport in memory gives answers that are whole
        return response.content
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > most:
            raise EndpointError(f"{response.url}: the answer is larger than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def refuse_compressed(response: "httpx.Response") -> None:
    """Raise EndpointError for an answer that is compressed, although it was asked for as it is."""
    coding = response.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        problem = f"is compressed ({coding[:40]!r}), which was not asked for"
        raise EndpointError(f"{response.url}: the answer {problem}")


async def data_objects(
    response: "httpx.Response", bounds: AnswerBounds
) -> AsyncGenerator[Any, None]:
    """The JSON values of a server-sent event stream, up to [DONE].

    Raises EndpointError for what is not JSON or beyond the bounds; ConnectionLostError for silence.
    """
    refuse_compressed(response)
    count = 0
    heard = time.monotonic()
    reading = lines(response, bounds.size)
    async for line in reading:
        if not line.startswith(b"data:"):
            if time.monotonic() - heard > bounds.silence:
                problem = f"sent no data for {bounds.silence:g} seconds"
                raise ConnectionLostError(f"{response.url}: the server {problem}")
            continue
        heard = time.monotonic()
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            await read_end(reading)
            return
        count += 1
        if count > bounds.objects:
            problem = f"more than {bounds.objects} chunks, for what was asked"
            raise EndpointError(f"{response.url}: the answer has {problem}")
        try:
            yield json.loads(data)
        except (ValueError, RecursionError) as error:
            raise EndpointError(f"{response.url}: {data[:80]!r} is not JSON") from error


async def read_end(reading: AsyncGenerator[bytes, None]) -> None:
    """Read what little may follow the last event; an answer that goes on is left, and one whose
    connection is cut here is whole all the same."""
    import httpx

    with contextlib.suppress(TimeoutError, EndpointError, httpx.HTTPError):
        async with asyncio.timeout(END_SECONDS):
            async for _ in reading:
                pass


async def lines(response: "httpx.Response", most: int) -> AsyncGenerator[bytes, None]:
    """The lines of a body of at most `most` bytes. Raises EndpointError for one beyond the bounds.

    What ends no line is not returned.
    """
    # Not aiter_lines: it also splits at U+2028, which JSON strings may hold.
    begun: list[bytes] = []
    pending = size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        *ended, rest = piece.split(b"\n")
        for line in ended:
            begun.append(line)
            yield b"".join(begun)
            begun, pending = [], 0
        begun.append(rest)
        pending += len(rest)
        if pending > MAX_LINE_BYTES or size > most:
            limit = f"larger than {most} bytes" if size > most else "one line without end"
            raise EndpointError(f"{response.url}: the answer is {limit}")


async def raise_for_error(response: "httpx.Response") -> None:
    """Raise EngineBusyError or EndpointError if the status is not a success.

    The message has the address before the word `answered`, and none after it.
    """
    if response.is_success:
        return
    text = (await read_body(response)).decode("utf-8", "replace")
    message = f"{response.url} answered {response.status_code}: {error_message(text)}"
    if response.status_code in BUSY_STATUSES:
        raise EngineBusyError(message, seconds_of(response.headers.get("retry-after")))
    raise EndpointError(message, response.status_code)


def seconds_of(retry_after: str | None) -> float | None:
    """A Retry-After in seconds; None for none, and for a date."""
    said = retry_after or ""
    return float(said) if re.fullmatch("[0-9]{1,9}", said) else None


def served_models(
    base_url: str, *, api_key: str | None = None, seconds: float = LISTING_SECONDS
) -> list[str]:
    """Names of the models of a server, the first where cards have one `root`: they are aliases.

    Raises EndpointError, also after `seconds`.
    """
    return asyncio.run(listed_models(base_url, api_key, seconds))


async def listed_models(base_url: str, api_key: str | None, seconds: float) -> list[str]:
    """See `served_models`."""
    import httpx

    url = f"{api_root(base_url)}/models"
    headers = {**UNCOMPRESSED, **credentials(api_key)}
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(headers=headers) as client,
            client.stream("GET", url) as response,
        ):
            await raise_for_error(response)
            cards = json.loads(await read_body(response))["data"]
        names: dict[str, str] = {}
        for card in cards:
            names.setdefault(str(card.get("root") or card["id"]), str(card["id"]))
    except EngineBusyError as error:
        raise EndpointError(str(error)) from error
    except TimeoutError as error:
        raise EndpointError(f"{url} did not answer within {seconds:g} seconds") from error
    except (httpx.HTTPError, httpx.InvalidURL, *UNREADABLE) as error:
        raise EndpointError(f"{url} does not list models: {error}") from error
    if not names:
        raise EndpointError(f"{url} lists no model: name one")
    return list(names.values())
