"""`openk2 serve` as a process of its own, for benchmarks that speak to it over the loopback."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

SERVE = "from openk2.cli.main import app; app()"


@dataclass(frozen=True)
class Server:
    """url: of the API, ends in /v1. pid: of the process."""

    url: str
    pid: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    """`openk2 serve` with these arguments (a model, or a gateway's options), from its first
    healthy answer on."""
    port = free_port()
    command = [sys.executable, "-c", SERVE, "serve", *arguments, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", timeout=1).raise_for_status()
                break
            except httpx.HTTPError:
                if process.poll() is not None:
                    status = process.returncode
                    raise SystemExit(f"openk2 serve ended with status {status}") from None
                time.sleep(0.02)
        yield Server(f"http://127.0.0.1:{port}/v1", process.pid)
    finally:
        process.terminate()
        process.wait()
