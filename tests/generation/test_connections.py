"""Connections are kept, and a request is sent again only where no server can have acted on it."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpcore
import httpx
import pytest

from openk2.generation import ChatRequest, Connections, HttpChat, JsonBody, complete
from openk2.generation.connections import sent

from .test_http_chat import USAGE, delta, events

REQUEST = ChatRequest([{"role": "user", "content": "hi"}])
BODY = events(delta({"content": "well"}), delta({}, finish_reason="stop", usage=USAGE), "[DONE]")


class Server:
    """Answers every request whole; connections: accepted so far. answers: a connection's most."""

    def __init__(self, answers: int = 1000) -> None:
        self.answers = answers
        self.connections = 0
        self.requests = 0
        self.open = 0
        self.heads: list[bytes] = []

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def answer(self, reader, writer):
        self.connections += 1
        self.open += 1
        try:
            for _ in range(self.answers):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.requests += 1
                self.heads.append(head.lower())
                writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: replica=7; Path=/\r\n")
                writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
                writer.write(b"%x\r\n%b\r\n" % (len(BODY), BODY))
                await writer.drain()
                await asyncio.sleep(0.005)  # the end of the body comes after the last event
                writer.write(b"0\r\n\r\n")
        except asyncio.IncompleteReadError:
            pass
        finally:
            self.open -= 1
            writer.close()


def chat(url: str) -> HttpChat:
    return HttpChat(url, "k2", connections=Connections({}, 5))


def test_a_kept_connection_serves_requests_one_after_the_other_and_is_closed_at_the_end() -> None:
    async def run() -> None:
        server = Server()
        async with server.running() as url:
            client = chat(url)
            async with client.connections.kept():
                for _ in range(5):
                    assert (await complete(client, REQUEST)).content == "well"
                assert (server.connections, server.requests, server.open) == (1, 5, 1)
                await asyncio.gather(*(complete(client, REQUEST) for _ in range(4)))
                assert server.connections == 4
            await asyncio.sleep(0.05)
            assert server.open == 0
            await complete(client, REQUEST)  # without keeping, as before
            assert server.requests == 10

    asyncio.run(run())


def test_a_connection_that_the_server_closed_while_idle_is_not_used() -> None:
    async def run() -> None:
        server = Server(answers=1)
        async with server.running() as url:
            client = chat(url)
            async with client.connections.kept():
                for _ in range(4):
                    assert (await complete(client, REQUEST)).content == "well"
                    await asyncio.sleep(0.02)
        assert (server.connections, server.requests) == (4, 4)

    asyncio.run(run())


def test_no_answers_cookie_is_sent_with_another_request() -> None:
    async def run() -> None:
        server = Server()
        async with server.running() as url:
            client = chat(url)
            async with client.connections.kept():
                await complete(client, REQUEST)
                await complete(client, REQUEST)
        assert not any(b"\r\ncookie:" in head for head in server.heads)

    asyncio.run(run())


class Broken(httpx.AsyncBaseTransport):
    """Loses the connection at this point of the first requests."""

    def __init__(self, event: str, times: int) -> None:
        self.event, self.times, self.asked = event, times, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.asked > self.times:
            return httpx.Response(200)
        await request.extensions["trace"](self.event, {})
        raise httpx.RemoteProtocolError("lost")


@pytest.mark.parametrize(
    ("event", "times", "asked"),
    [
        ("http11.send_request_headers.failed", 1, 2),
        ("http11.send_request_body.failed", 1, 2),
        ("http11.send_request_body.failed", 2, None),
        ("http11.receive_response_headers.failed", 1, None),
        ("http11.send_request_body.complete", 1, None),
    ],
)
def test_only_a_request_that_was_not_sent_whole_is_sent_again(event, times, asked) -> None:
    async def run(transport: Broken) -> None:
        async with httpx.AsyncClient(transport=transport) as client:
            await sent(client, "http://h/v1", b"{}")

    transport = Broken(event, times)
    if asked is not None:
        asyncio.run(run(transport))
        assert transport.asked == asked
        return
    with pytest.raises(httpx.RemoteProtocolError):
        asyncio.run(run(transport))
    assert transport.asked == times


def test_a_server_that_does_not_read_in_time_is_not_asked_again() -> None:
    asked = 0

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal asked
            asked += 1
            await request.extensions["trace"]("http11.send_request_body.failed", {})
            raise httpx.WriteTimeout("slow")

    async def run() -> None:
        async with httpx.AsyncClient(transport=Slow()) as client:
            await sent(client, "http://h/v1", b"{}")

    with pytest.raises(httpx.WriteTimeout):
        asyncio.run(run())
    assert asked == 1


def test_httpcore_says_where_a_connection_was_lost() -> None:
    """The names above are those that httpcore reports."""

    class Lost(httpcore.AsyncNetworkStream):
        async def read(self, max_bytes, timeout=None):
            raise httpcore.ReadError("lost")

        async def write(self, buffer, timeout=None):
            raise httpcore.WriteError("lost")

        async def aclose(self):
            pass

    async def run() -> list[str]:
        seen: list[str] = []

        async def trace(event, info):
            seen.append(event)

        origin = httpcore.Origin(b"http", b"h", 80)
        async with httpcore.AsyncHTTP11Connection(origin, Lost()) as connection:
            with pytest.raises(httpcore.ReadError):
                await connection.request("POST", "http://h/", extensions={"trace": trace})
        return seen

    assert "http11.send_request_headers.failed" in asyncio.run(run())


@pytest.mark.parametrize("seed", [None, 0, -7])
@pytest.mark.parametrize("size", [0, 1, 64 * 1024 - 6, 64 * 1024, 200_000])
def test_a_shared_body_is_sent_whole_with_its_seed_and_its_length(size, seed):
    whole = {"a": "x" * size}
    body = JsonBody(json.dumps(whole)[:-1].encode()).with_seed(seed)

    async def pieces() -> list[bytes]:
        return [piece async for piece in body]

    for _ in range(2):  # a request may be sent again
        sent = b"".join(asyncio.run(pieces()))
        assert len(sent) == len(body)
        assert json.loads(sent) == whole | ({} if seed is None else {"seed": seed})
