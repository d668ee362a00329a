"""`Connections`: the HTTP connections to one server, kept between requests.

Connecting costs a third of a request to a server nearby, and several round trips to one far away.
Inside `kept` requests share one client, which belongs to the event loop that opened it. Outside,
every request has a client of its own, so that a program which asks once has nothing to close.

httpx is imported where it is used; `http_reading` says why.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from openk2.generation.json_body import JsonBody

if TYPE_CHECKING:
    import httpx

MAX_IDLE = 32  # kept connections without a request
# Servers close an idle connection after 5 s (uvicorn) to 75 s (nginx). A closed one is noticed
# before it is used, so a long time costs only its descriptor.
IDLE_SECONDS = 30.0


class Connections:
    """POST requests to one server.

    headers: of every request. timeout: seconds until the server sends its next bytes. connect:
    seconds to connect; None is the same. certificates: read once, for other clients too.
    """

    def __init__(
        self, headers: Mapping[str, str], timeout: float, connect: float | None = None
    ) -> None:
        import httpx

        self._headers = dict(headers)
        self._timeout = httpx.Timeout(timeout, connect=timeout if connect is None else connect)
        # Reading the certificates is what makes a client slow to build.
        self.certificates = httpx.create_ssl_context()
        self._kept: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep connections until the end of this context; requests must be of its event loop."""
        async with self._client() as client:
            self._kept = client
            try:
                yield
            finally:
                self._kept = None

    @asynccontextmanager
    async def post(
        self, url: str, content: bytes | JsonBody
    ) -> AsyncGenerator["httpx.Response", None]:
        """The response to a POST, its body not read yet; read to its end, the connection is kept.

        Raises httpx.HTTPError, httpx.InvalidURL.
        """
        async with AsyncExitStack() as stack:
            client = self._kept
            if client is None:
                client = await stack.enter_async_context(self._client())
            response = await sent(client, url, content)
            stack.push_async_callback(response.aclose)
            yield response

    def _client(self) -> "httpx.AsyncClient":
        import httpx

        limits = httpx.Limits(
            max_connections=None,  # as many as there are requests, which the server limits
            max_keepalive_connections=MAX_IDLE,
            keepalive_expiry=IDLE_SECONDS,
        )
        return httpx.AsyncClient(
            verify=self.certificates,
            timeout=self._timeout,
            headers=self._headers,
            limits=limits,
            # A cookie of one answer would be sent with everybody's requests, and a load balancer's
            # would send them all to one replica.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )


async def sent(
    client: "httpx.AsyncClient", url: str, content: bytes | JsonBody
) -> "httpx.Response":
    """The response. A request is sent once more only if the connection was lost while it was being
    sent: no server can have acted on a part of it."""
    import httpx

    writing = Writing()
    try:
        return await client.send(writing.request(client, url, content), stream=True)
    except (httpx.NetworkError, httpx.ProtocolError):  # a server that is slow is asked once
        if not writing.failed:
            raise
    return await client.send(writing.request(client, url, content), stream=True)


class Writing:
    """Whether a request could not be sent whole. httpcore reports that to `trace` alone: it goes on
    to read, since some servers answer before they have read everything."""

    def __init__(self) -> None:
        self.failed = False

    def request(
        self, client: "httpx.AsyncClient", url: str, content: bytes | JsonBody
    ) -> "httpx.Request":
        """A POST that is watched."""
        length = {"Content-Length": str(len(content))}
        watched = {"trace": self.trace}
        return client.build_request(
            "POST", url, content=content, headers=length, extensions=watched
        )

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """See httpcore's documentation on extensions."""
        if event.endswith(("send_request_headers.failed", "send_request_body.failed")):
            self.failed = True
