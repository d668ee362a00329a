"""`Endpoint`: raw HTTP to the server under test, so that no SDK repairs what it sends.

httpx is imported where it is used, as in `generation`.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from openk2.generation import (
    MAX_BODY_BYTES,
    UNCOMPRESSED,
    EndpointError,
    api_root,
    credentials,
    read_body,
)

if TYPE_CHECKING:
    import httpx

# A busy server is not at fault: the request is sent again.
BUSY_STATUSES = (429, 503, 529)
BUSY_TRIES = 6
LONGEST_PAUSE = 10.0
ANSWER_SECONDS = 600.0
MOST_UNENDING = 3  # answers that did not end, after which nothing more is asked
SCORES_BYTES = 128  # of an answer, for each byte of the request
ANTHROPIC_VERSION = "2023-06-01"


class EndpointFault(Exception):
    """The endpoint did not answer a request that it must answer. One line."""


@dataclass(frozen=True)
class Response:
    """One HTTP response, read to its end."""

    status: int
    content_type: str
    body: bytes

    @property
    def text(self) -> str:
        """The body; broken UTF-8 becomes U+FFFD, for which `unicode` looks."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The JSON value of the body. Raises EndpointFault if it is not JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise EndpointFault(f"the answer is not JSON: {shown(self.text)}") from error


def shown(text: str) -> str:
    """The start of what a server sent, on one line."""
    line = " ".join(text.split())
    return repr(line[:160])


class Endpoint:
    """One server. base_url: with or without the final /v1; also an async context manager.

    timeout: seconds until the server sends its next bytes. answer_seconds: until an answer has
    ended; default: ANSWER_SECONDS, or the timeout if that is longer.
    concurrency: requests in flight at most.
    transport: httpx's way to reach the server, for tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
        concurrency: int = 4,
        answer_seconds: float | None = None,
        transport: "httpx.AsyncBaseTransport | None" = None,
    ) -> None:
        import httpx

        self.root = api_root(base_url)
        headers = {
            "anthropic-version": ANTHROPIC_VERSION,
            **UNCOMPRESSED,
            **credentials(api_key),
        }
        if api_key is not None:
            headers["x-api-key"] = api_key
        self.client = httpx.AsyncClient(headers=headers, timeout=timeout, transport=transport)
        self.gate = asyncio.Semaphore(concurrency)
        self.answer_seconds = answer_seconds or max(ANSWER_SECONDS, timeout)
        self.sent = self.unending = 0

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.client.aclose()

    async def get(self, path: str) -> Response:
        """GET a path below /v1. Raises EndpointFault if there is no response."""
        return await self._send("GET", path, None)

    async def post(self, path: str, body: Any) -> Response:
        """POST a JSON value, or bytes as they are. Raises EndpointFault if there is no response."""
        # ASCII, as many clients send it; `unicode` sends the bytes itself.
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._send("POST", path, content)

    async def _send(self, method: str, path: str, content: bytes | None) -> Response:
        import httpx

        url = self.root + path
        headers = {} if content is None else {"Content-Type": "application/json"}
        async with self.gate:
            for attempt in range(1, BUSY_TRIES + 1):
                self.sent += 1
                try:
                    answer, body = await self._read(method, url, content, headers)
                except (httpx.HTTPError, httpx.InvalidURL, EndpointError) as error:
                    reason = str(error) or type(error).__name__
                    raise EndpointFault(f"{url} gave no answer: {reason}") from error
                if answer.status_code not in BUSY_STATUSES or attempt == BUSY_TRIES:
                    break
                await asyncio.sleep(pause(answer.headers.get("retry-after"), attempt))
        content_type = answer.headers.get("content-type", "")
        return Response(answer.status_code, content_type, body)

    async def _read(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]
    ) -> "tuple[httpx.Response, bytes]":
        """One request and its whole answer. Raises EndpointFault for one that does not end."""
        seconds = self.answer_seconds
        if self.unending >= MOST_UNENDING:
            problem = f"{self.unending} answers did not end within {seconds:g} seconds"
            raise EndpointFault(f"{problem}: it is not asked any more")
        try:
            async with (
                asyncio.timeout(seconds),
                self.client.stream(method, url, content=content, headers=headers) as answer,
            ):
                return answer, await read_body(answer, most_bytes(content))
        except TimeoutError as error:
            self.unending += 1
            problem = f"the answer did not end within {seconds:g} seconds"
            raise EndpointFault(f"{url}: {problem}") from error


def most_bytes(content: bytes | None) -> int:
    """How large an answer may be. An echoed prompt comes with the scores of its tokens: 50 MB for
    one of 235,000 tokens, which are a megabyte."""
    return MAX_BODY_BYTES + SCORES_BYTES * len(content or b"")


def pause(retry_after: str | None, attempt: int) -> float:
    """Seconds to wait for a busy server: as its Retry-After says, or doubling each time."""
    try:
        asked = float(retry_after or "")
    except ValueError:
        asked = 0.25 * 2**attempt
    return min(max(asked, 0.0), LONGEST_PAUSE)
