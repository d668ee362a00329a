"""An OpenAI-compatible server as its clients see it: addresses, keys and errors."""

import json

BUSY_STATUSES = (429, 503)
MOST_WORDS = 400  # characters of a server's message that are passed on


class EndpointError(RuntimeError):
    """The server could not be reached, refused the request, or broke the protocol.

    status: the HTTP status, or that of the server's fault which ended an answer; None when there
    was no answer, or one that cannot be read.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(EndpointError):
    """There is no connection to the server, so nothing was sent."""


class ConnectionLostError(EndpointError):
    """The connection broke, or the server fell silent, before the answer was whole."""


def api_root(base_url: str) -> str:
    """The URL that ends in /v1."""
    return base_url.rstrip("/").removesuffix("/v1") + "/v1"


def credentials(api_key: str | None) -> dict[str, str]:
    """The request headers that carry the key. Raises EndpointError if headers cannot."""
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise EndpointError("the API key holds characters that no header can carry: copy it again")
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def error_message(text: str) -> str:
    """The message of OpenAI's error object, or the start of whatever else the server sent."""
    try:
        return str(json.loads(text)["error"]["message"])[:MOST_WORDS]
    except (ValueError, KeyError, TypeError, RecursionError):
        return text[:MOST_WORDS]
