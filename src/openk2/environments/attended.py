"""Attend one process: feed it, keep a bounded part of what it writes, stop it at its limits."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from openk2.environments.sandbox import Finished, Limits, SandboxError

_LOOK = 0.05  # seconds between two looks at the processes' memory
_CHUNK = 1 << 16


class _Output:
    """The beginning of a stream, up to `limit` bytes; the rest is read and dropped."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.stream, self.limit = stream, limit
        self.kept = bytearray()
        self.cut = self.ended = False
        os.set_blocking(stream.fileno(), False)

    def move(self) -> bool:
        """Read once. Returns whether there was something to read."""
        try:
            data = os.read(self.stream.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        self.ended = not data
        room = self.limit - len(self.kept)
        self.kept += data[:room]
        self.cut = self.cut or len(data) > room
        return bool(data)


class _Input:
    """What a stream is still to be fed."""

    def __init__(self, stream: IO[bytes], data: bytes) -> None:
        self.stream, self.left = stream, memoryview(data)
        self.ended = False
        os.set_blocking(stream.fileno(), False)

    def move(self) -> bool:
        """Write once. Ended: all is written, or nobody reads any more."""
        try:
            if self.left:
                self.left = self.left[os.write(self.stream.fileno(), self.left[:_CHUNK]) :]
            self.ended = not self.left
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self.ended = True
        return not self.ended


def attend(
    argv: Sequence[str],
    *,
    limits: Limits,
    stdin: bytes,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
    exceeded: Callable[[int], bool] = lambda pid: False,
    stop: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> Finished:
    """Run `argv` to its end or to a limit.

    exceeded: pid of the process -> whether its tree holds more than it may; called every 50 ms.
    stop: ends the whole tree, also after a normal end; by default SIGKILL to its process group.
    Raises SandboxError if `argv` cannot be started.
    """
    process = _start(argv, env, pass_fds)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    out = _Output(process.stdout, limits.output_bytes)
    err = _Output(process.stderr, limits.output_bytes)
    feed = _Input(process.stdin, stdin)
    deadline = time.monotonic() + limits.seconds
    next_look = 0.0
    timed_out = out_of_memory = False
    try:
        with selectors.DefaultSelector() as selector:
            for pipe, event in ((feed, 2), (out, 1), (err, 1)):
                selector.register(pipe.stream, event, pipe)
            while still_runs(process) and not timed_out and not out_of_memory:
                for key, _ in selector.select(0.01 if selector.get_map() else 0):
                    key.data.move()
                    if key.data.ended:
                        selector.unregister(key.data.stream)
                        key.data.stream.close()
                if not selector.get_map():
                    time.sleep(0.002)
                timed_out = time.monotonic() > deadline
                if time.monotonic() > next_look:
                    out_of_memory = exceeded(process.pid)
                    next_look = time.monotonic() + _LOOK
    finally:
        (stop or kill_group)(process)
        exit_code = process.wait()
        for output in (out, err):
            _drain(output)
        if not feed.stream.closed:
            feed.stream.close()
    return Finished(
        exit_code=exit_code if exit_code >= 0 else 128 - exit_code,
        stdout=bytes(out.kept),
        stderr=bytes(err.kept),
        timed_out=timed_out,
        out_of_memory=out_of_memory,
        cut=out.cut or err.cut,
    )


def still_runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has not ended. It stays unreaped, so that its number names nothing else."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, flags) is None


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process group that `attend` made; nothing if it has ended."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _start(
    argv: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            pass_fds=pass_fds,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxError(f"{argv[0]}: cannot be started: {error.strerror}") from None


def _drain(output: _Output) -> None:
    # What the pipe holds, at most 1 MiB, not what a survivor goes on writing.
    for _ in range(32):
        if output.ended or not output.move():
            break
    if not output.stream.closed:
        output.stream.close()
