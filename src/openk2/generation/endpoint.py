"""An OpenAI-compatible server as its clients see it: addresses, keys, models, errors and streams.

httpx is imported where it is used: it takes 0.1 s, and our own server, which imports this package,
does not need it.
"""

import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from openk2.protocol import EngineBusyError

if TYPE_CHECKING:
    import httpx

BUSY_STATUSES = (429, 503)


class EndpointError(RuntimeError):
    """The server could not be reached, refused the request, or broke the protocol.

    status: the HTTP status; None when there was no answer, or one that cannot be read.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def served_models(base_url: str, *, api_key: str | None = None) -> list[str]:
    """Names of the models of a server. Raises EndpointError."""
    import httpx

    url = f"{api_root(base_url)}/models"
    try:
        response = httpx.get(url, headers=credentials(api_key))
        if not response.is_success:
            message = f"{url} answered {response.status_code}: {error_message(response.text)}"
            raise EndpointError(message, response.status_code)
        names = [card["id"] for card in response.json()["data"]]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise EndpointError(f"{url} does not list models: {error}") from error
    if not names:
        raise EndpointError(f"{url} lists no model: name one")
    return names


def api_root(base_url: str) -> str:
    """The URL that ends in /v1."""
    return base_url.rstrip("/").removesuffix("/v1") + "/v1"


def credentials(api_key: str | None) -> dict[str, str]:
    """The request headers that carry the key. Raises EndpointError if headers cannot."""
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise EndpointError("the API key holds characters that no header can carry: copy it again")
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


async def raise_for_error(response: "httpx.Response") -> None:
    """Raise EngineBusyError or EndpointError if the status is not a success."""
    if response.is_success:
        return
    text = (await response.aread()).decode("utf-8", "replace")
    message = f"{response.url} answered {response.status_code}: {error_message(text)}"
    if response.status_code in BUSY_STATUSES:
        raise EngineBusyError(message)
    raise EndpointError(message, response.status_code)


def error_message(text: str) -> str:
    """The message of OpenAI's error object, or the start of whatever else the server sent."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]


async def data_objects(response: "httpx.Response") -> AsyncGenerator[dict[str, Any], None]:
    """The JSON objects of a server-sent event stream, up to [DONE]. Raises EndpointError."""
    # Not aiter_lines: it also splits at U+2028, which JSON strings may hold.
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            try:
                yield json.loads(data)
            except ValueError as error:
                raise EndpointError(f"{response.url}: {data[:80]!r} is not JSON") from error
