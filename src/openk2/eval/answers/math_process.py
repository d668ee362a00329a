"""math-verify in processes of its own, with limits of time and memory.

sympy evaluates what it reads: 9^{9^{9}} would fill the memory, and C code that computes it hears no
signal. So each process has limits that the kernel enforces, dies of them, and the answer is wrong.
Requests and replies are lines of JSON; math-verify's own timeout works in main threads only and is
switched off.
"""

import atexit
import json
import logging
import queue
import subprocess
import sys
from functools import lru_cache
from threading import Timer
from typing import Any

PROCESSES = 2
CPU_SECONDS = 3  # for one pair; most take 10 ms
SECONDS = 60.0  # for one pair on a busy machine
START_CPU_SECONDS = 60  # importing sympy
MAX_BYTES = 2**31  # of memory, for one process
NICENESS = 5
MAX_PAIRS = 2000  # for one process: sympy's caches grow

CHILD = "from openk2.eval.answers.math_process import serve; serve()"


class MathProcess:
    """One process, started with the first pair. Not for several threads at once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pairs = 0

    def equivalent(self, answer: str, reference: str) -> bool:
        """math-verify's verdict; False if it exceeds a limit. Raises RuntimeError without it."""
        if self._process is None:
            self._process = start()
            self._pairs = 0
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        timer = Timer(SECONDS, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps([answer, reference]).encode() + b"\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        except OSError:
            reply = b""
        finally:
            timer.cancel()
        self._pairs += 1
        if not reply or self._pairs >= MAX_PAIRS:
            self.close()
        return reply == b"true\n"

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class MathProcesses:
    """PROCESSES of them. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._processes = [MathProcess() for _ in range(PROCESSES)]
        self._free: queue.LifoQueue[MathProcess] = queue.LifoQueue()
        for process in self._processes:
            self._free.put(process)

    def equivalent(self, answer: str, reference: str) -> bool:
        """As MathProcess.equivalent, after waiting for a free process."""
        process = self._free.get()
        try:
            return process.equivalent(answer, reference)
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.close()


def start() -> subprocess.Popen[bytes]:
    """A process that is ready. Raises RuntimeError with its last line if it dies."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the run, which closes this one
    )
    assert process.stdout is not None
    assert process.stderr is not None
    if process.stdout.readline() != b"ready\n":
        last = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
        process.kill()
        process.communicate()
        raise RuntimeError(f"math answers cannot be compared: {last}: pip install 'openk2[eval]'")
    process.stderr.close()
    return process


@lru_cache(maxsize=1)
def math_processes() -> MathProcesses:
    """Those of this process; they end with it."""
    processes = MathProcesses()
    atexit.register(processes.close)
    return processes


def equivalent(answer: str, reference: str) -> bool:
    """Whether math-verify takes two formulas for the same. Any thread; at most SECONDS."""
    return math_processes().equivalent(answer, reference)


def serve() -> None:
    """What a process does: pairs from standard input, `true` or `false` to standard output."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    limit_memory()
    limit_time(START_CPU_SECONDS)
    import math_verify  # noqa: F401

    logging.disable()
    # Nothing may be lost in a pipe that nobody reads.
    sys.stderr = open("/dev/null" if sys.platform != "win32" else "nul", "w")  # noqa: SIM115
    replies.write(b"ready\n")
    replies.flush()
    for line in requests:
        limit_time(CPU_SECONDS)
        replies.write(json.dumps(verified(*json.loads(line))).encode() + b"\n")
        replies.flush()


def verified(answer: str, reference: str) -> bool:
    """math-verify's verdict on two formulas; False for what it cannot read."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    kinds = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
    try:
        gold, ours = (
            parse(f"${text}$", kinds, parsing_timeout=None) for text in (reference, answer)
        )
        same = verify(
            gold, ours, float_rounding=9, allow_set_relation_comp=True, timeout_seconds=None
        )
        return bool(same) and alike(ours[0], gold[0])
    except Exception:  # of sympy, whatever it is: what it cannot read is not the reference
        return False


def alike(ours: Any, right: Any) -> bool:
    """Two numbers that math-verify took for equal agree in their leading digits too: it rounds
    after the point, where 7/2004! and 1/2004! are both 0. True for what is no number."""
    if not (getattr(ours, "is_number", False) and getattr(right, "is_number", False)):
        return True
    return bool(abs(ours - right).evalf() <= 1e-6 * abs(right).evalf())


def limit_memory() -> None:
    """MAX_BYTES and a lower priority, where the system has such limits."""
    if sys.platform != "win32":
        import os
        import resource

        os.nice(NICENESS)
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES, MAX_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_time(seconds: int) -> None:
    """The kernel ends the process when it has used this many more seconds of processor time."""
    if sys.platform != "win32":
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(
            resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard)
        )
