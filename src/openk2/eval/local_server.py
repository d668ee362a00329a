"""`openk2 serve` as a process beside a run: every model of an evaluation is a URL."""

import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import IO

# The server ends with the process that started it, however that ends: its standard input closes.
SERVE = """
import os, signal, sys, threading
def follow():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=follow, daemon=True).start()
from openk2.cli.main import app
app(prog_name="openk2")
"""


class LocalServerError(RuntimeError):
    """The local model could not be served."""


@contextmanager
def local_server(model: str, *arguments: str) -> Iterator[str]:
    """The URL of a server of this model on a free loopback port, stopped afterwards.

    model: a folder or a built-in name. arguments: more of `openk2 serve`.
    Raises LocalServerError with the server's last line if it does not start.
    """
    command = [sys.executable, "-c", SERVE, "serve", model, "--port", "0", *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the run, which stops the server when it is done
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: deque[str] = deque(maxlen=20)
    listener = Thread(target=keep_reading, args=(process.stderr, said), daemon=True)
    listener.start()
    try:
        ready = process.stdout.readline()
        if " is ready at " not in ready:
            process.wait()
            listener.join(5)
            last = said[-1] if said else f"status {process.returncode}"
            raise LocalServerError(f"openk2 serve {model}: {last.removeprefix('error: ')}")
        yield ready.rpartition(" ")[2].strip()
    finally:
        process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def keep_reading(stream: IO[str], said: deque[str]) -> None:
    """Read a process's errors to their end, so that it never waits for a reader."""
    for line in stream:
        if line.strip():
            said.append(line.strip())
