"""What workers of the tests do; found by name in their processes."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Note:
    """Write which process was here to `output`. once: die the first time, leaving this file."""

    output: Path
    once: Path | None = None
    seconds: float = 0.0


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise ValueError(f"item {number} is not to my liking")


def write_note(note: Note) -> None:
    if note.once is not None and not note.once.exists():
        note.once.write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(note.seconds)
    note.output.write_text(str(os.getpid()))


def say_done(note: Note) -> None:
    """Claims to have written, as a node does whose folder is not shared."""


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def note_node(note: Note) -> None:
    """Write which Ray node was here, after a while."""
    import ray

    time.sleep(note.seconds)
    note.output.write_text(ray.get_runtime_context().get_node_id())
