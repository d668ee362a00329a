"""`SchemaWriters`: schemas become grammars in processes of their own.

Reading a schema is work in pure Python, and a hostile one can ask for much of it. In a thread it
would hold the interpreter's lock, and every step of the engine would wait for it. A process of its
own has a lower priority, and limits of time and memory.

Schemas go there as text and grammars come back pickled, as `multiprocessing` would do it: both ends
are this module, and nothing that a client sent is ever unpickled.
"""

import atexit
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FrameType
from typing import BinaryIO

from openk2.grammar.course import WrittenSchema, written
from openk2.grammar.error import TOO_MUCH, GrammarError
from openk2.protocol import EngineBusyError

PROCESSES = 2
CPU_SECONDS = 2.0  # that one schema may take
NICENESS = 10
MAX_BYTES = 2**30  # of memory, for one process
# The longest wait for a process that others use.
WAIT_SECONDS = 20.0

CHILD = "from openk2.grammar.writing import write_schemas; write_schemas()"


class SchemaWriter:
    """One process, started with the first schema. Not for several threads at once.

    seconds: of the processor that all its schemas have taken.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, schema: str) -> WrittenSchema:
        """The grammar of a schema's JSON. Raises GrammarError."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the server, which closes this one
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(schema, self._process.stdin)
            self._process.stdin.flush()
            result, seconds = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            # It died: out of memory, or out of stack.
            self.close()
            self.seconds += CPU_SECONDS
            raise GrammarError(TOO_MUCH) from None
        self.seconds += seconds
        if isinstance(result, WrittenSchema):
            return result
        if isinstance(result, dict):
            raise GrammarError(**result)
        raise RuntimeError(f"a schema cannot be read: {result}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class SchemaWriters:
    """PROCESSES of them. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._writers = [SchemaWriter() for _ in range(PROCESSES)]
        self._free: queue.LifoQueue[SchemaWriter] = queue.LifoQueue()
        for writer in self._writers:
            self._free.put(writer)

    @contextmanager
    def writer(self) -> Iterator[SchemaWriter]:
        """A writer that nobody else has meanwhile. Raises EngineBusyError after WAIT_SECONDS."""
        try:
            writer = self._free.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise EngineBusyError("too many schemas are being compiled: try again") from None
        try:
            yield writer
        finally:
            self._free.put(writer)

    def close(self) -> None:
        """End the processes."""
        for writer in self._writers:
            writer.close()


@lru_cache(maxsize=1)
def schema_writers() -> SchemaWriters:
    """Those of this process; they end with it."""
    writers = SchemaWriters()
    atexit.register(writers.close)
    return writers


class _OutOfTime(BaseException):
    """A BaseException, because reading goes on after some errors."""


def write_schemas() -> None:
    """What a process does: schemas from standard input, grammars to standard output."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    limit_process()
    while True:
        try:
            schema = pickle.load(requests)
        except EOFError:
            return
        answer(schema, answers)


def limit_process() -> None:
    """Lower the priority, limit memory, and prepare the limit of time, where there are such."""
    if sys.platform != "win32":
        import resource

        os.nice(NICENESS)
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES, MAX_BYTES))
        signal.signal(signal.SIGVTALRM, out_of_time)


def out_of_time(number: int, frame: FrameType | None) -> None:
    """The handler of the timer's signal."""
    raise _OutOfTime


def answer(schema: str, answers: BinaryIO) -> None:
    """Send a WrittenSchema, the arguments of a GrammarError, or the text of another error; and the
    processor's seconds that it took."""
    began = time.process_time()
    result: WrittenSchema | dict[str, str | None] | str
    try:
        result = in_time(schema)
    except GrammarError as error:
        result = {"problem": error.problem, "pointer": error.pointer, "keyword": error.keyword}
    except RecursionError:
        result = {"problem": "nests too deep"}
    except (_OutOfTime, MemoryError):
        result = {"problem": TOO_MUCH}
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    pickle.dump((result, time.process_time() - began), answers)
    answers.flush()


def in_time(schema: str) -> WrittenSchema:
    """The grammar of a schema's JSON. Raises _OutOfTime after CPU_SECONDS."""
    if sys.platform == "win32":
        return written(json.loads(schema))
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS, 0.1)
    try:
        return written(json.loads(schema))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
