"""Who may ask, and how long a connection may take."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from openk2.generation import ScriptedChat
from openk2.protocol import EngineBusyError
from openk2.server import connection, create_app
from openk2.server.connection import TimedProtocol
from openk2.server.guards import BodyLimit, DrainGuard

PATHS = ("/health", "/metrics", "/v1/models", "/v1/models/x", "/openapi.json", "/nothing")
OURS = ("127.0.0.1:8000", "127.0.0.2", "localhost", "LOCALHOST:80", "[::1]:8000", "k2.localhost")
OTHERS = ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example",
          "10.0.0.1", "", "[::2]", "127.0.0.1@evil", "evil.example#127.0.0.1")  # fmt: skip


@pytest.fixture(scope="module")
def loopback_app():
    return create_app(ScriptedChat([]), model="openk2-test", loopback=True)


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize("path", PATHS)
def test_a_page_that_renamed_its_host_reads_no_route(loopback_app, path: str, host: str) -> None:
    answer = asyncio.run(get(loopback_app, path, {"host": host}))
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden_host"


@pytest.mark.parametrize("host", OURS)
def test_programs_of_this_machine_are_served(loopback_app, host: str) -> None:
    assert asyncio.run(get(loopback_app, "/health", {"host": host})).status_code == 200


def test_a_server_for_all_machines_answers_to_any_name() -> None:
    app = create_app(ScriptedChat([]), model="openk2-test")
    assert asyncio.run(get(app, "/health", {"host": "evil.example"})).status_code == 200


async def get(app, path: str, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path, headers=headers)


@pytest.fixture
def timed(monkeypatch) -> Iterator[int]:
    """The port of a server whose limits of time are short."""
    monkeypatch.setattr(TimedProtocol, "header_seconds", 0.3)
    monkeypatch.setattr(TimedProtocol, "unread_seconds", 0.3)

    async def app(scope, receive, send) -> None:
        if scope["path"] == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(2000):
                body = b"x" * 100_000
                await send({"type": "http.response.body", "body": body, "more_body": True})
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def answer_errors(scope, receive, send) -> None:
        try:
            await BodyLimit(app, 1000, seconds=0.3)(scope, receive, send)
        except Exception as error:
            status = getattr(error, "status_code", 500)
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        answer_errors,
        log_config=None,
        lifespan="off",
        http=TimedProtocol,
        timeout_keep_alive=1,
        limit_concurrency=20,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)


def seconds_until_closed(connected: socket.socket, trickle: bytes = b"") -> float:
    began = time.monotonic()
    connected.settimeout(0.1)
    while time.monotonic() - began < 5:
        with contextlib.suppress(TimeoutError):
            if not connected.recv(65536):
                break
        try:
            connected.sendall(trickle)
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("sent", "trickle"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a"),
        # An answer first, and then a header that does not end.
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", b"T"),
    ],
)
def test_headers_that_do_not_come_end_the_connection(
    timed: int, sent: bytes, trickle: bytes
) -> None:
    closed = contextlib.suppress(ConnectionResetError)
    with socket.create_connection(("127.0.0.1", timed)) as connected, closed:
        connected.sendall(sent)
        assert seconds_until_closed(connected, trickle) < 2


def test_connections_that_are_only_held_shut_nobody_out(timed: int, monkeypatch) -> None:
    monkeypatch.setattr(TimedProtocol, "header_seconds", 60)
    with contextlib.ExitStack() as held:
        address = ("127.0.0.1", timed)
        connections = [held.enter_context(socket.create_connection(address)) for _ in range(60)]
        assert httpx.post(f"http://127.0.0.1:{timed}/", content=b"abc").text == "ok"
        assert seconds_until_closed(connections[0]) < 1
        connections[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in connections[-1].recv(1000)


def test_a_body_that_does_not_come_is_a_408(timed: int) -> None:
    with socket.create_connection(("127.0.0.1", timed)) as connected:
        connected.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nabc")
        connected.settimeout(3)
        assert b" 408 " in connected.recv(1000)


def test_an_answer_that_nobody_reads_ends(timed: int) -> None:
    with socket.create_connection(("127.0.0.1", timed)) as connected:
        connected.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1.5)
        received = 0
        connected.settimeout(2)
        with contextlib.suppress(ConnectionResetError):
            while got := connected.recv(1 << 20):
                received += len(got)
        assert received < 150_000_000


def test_requests_in_time_are_answered_on_one_connection(timed: int) -> None:
    with httpx.Client() as client:
        for _ in range(3):
            assert client.post(f"http://127.0.0.1:{timed}/", content=b"abc").text == "ok"
            time.sleep(0.5)  # longer than headers may take: it is not asked yet


def test_the_limits_that_are_served_leave_room_for_a_slow_line() -> None:
    assert connection.HEADER_SECONDS >= 10
    assert connection.UNREAD_SECONDS >= 60


SERVER = textwrap.dedent("""
    import asyncio, socket, sys
    from openk2.server.run import run_app

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for count in range(int(scope["path"].strip("/"))):
            body = b"%d " % count
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"end"})

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    run_app(app, listener, lambda: print(port, flush=True), drain_seconds=float(sys.argv[1]))
""")


@contextlib.contextmanager
def draining(seconds: float) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_streams_may_end_and_new_requests_get_503_after_a_sigterm() -> None:
    with draining(20) as (process, url), httpx.stream("GET", f"{url}/15") as answer:
        pieces = answer.iter_text()
        next(pieces)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        refused = httpx.get(f"{url}/1")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "server_stopping"
        assert "Retry-After" in refused.headers
        assert "".join(pieces).endswith("14 end")
        assert process.wait(5) == -signal.SIGTERM


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("signals", [1, 2])
def test_streams_end_when_the_time_is_over_or_at_a_second_signal(signals: int) -> None:
    drain_seconds = 1.0 if signals == 1 else 60
    with draining(drain_seconds) as (process, url), httpx.stream("GET", f"{url}/600") as answer:
        next(answer.iter_text())
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        assert process.wait(8) == -signal.SIGTERM


def test_without_streams_a_sigterm_ends_at_once() -> None:
    with draining(60) as (process, url):
        httpx.get(f"{url}/1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM


def test_bodies_that_are_held_together_are_bounded() -> None:
    gate = asyncio.Event()

    async def app(scope, receive, send) -> None:
        while (await receive()).get("more_body"):
            pass
        await gate.wait()

    async def ask(size: int) -> None:
        pieces = iter([b"x" * (size // 2), b"x" * (size // 2)])

        async def receive():
            piece = next(pieces, None)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        await limit({"type": "http", "headers": []}, receive, None)

    async def ask_together() -> None:
        first = [asyncio.create_task(ask(size)) for size in (1000, 1000, 1000, 800)]
        await asyncio.sleep(0.01)
        with pytest.raises(EngineBusyError, match="ask again"):
            await asyncio.wait_for(ask(400), 1)
        await asyncio.wait_for(ask_open(200), 1)
        gate.set()
        await asyncio.gather(*first)
        await asyncio.wait_for(ask(1000), 1)

    async def ask_open(size: int) -> None:
        task = asyncio.create_task(ask(size))
        await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()

    limit = BodyLimit(app, 1000, most_held=4000)
    asyncio.run(ask_together())
    assert limit.held == 0


def test_a_stopping_server_speaks_as_its_routes_do() -> None:
    guard = DrainGuard(create_app(ScriptedChat([]), model="openk2-test"))
    guard.drain()
    answer = asyncio.run(get(guard, "/v1/messages", {}))
    assert (answer.status_code, answer.json()["type"]) == (529, "error")
    assert json.loads(answer.text)["error"]["type"] == "overloaded_error"
