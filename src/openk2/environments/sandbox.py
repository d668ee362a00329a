"""What a sandbox is: one place for every command that a model wrote.

A sandbox runs a command in a folder of its own, below limits, and reports how it ended. It knows no
benchmark, no language and no verdict. docs/design/sandbox.md says what each kind isolates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

HOME = "/box"  # the work folder inside sandboxes that have a file system of their own


class SandboxError(Exception):
    """The sandbox itself cannot run: never for what the command did. One line, with the remedy."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one run; all of them hold for the whole tree of processes together.

    seconds: wall clock. memory_bytes: resident memory. disk_bytes: the work folder.
    processes: processes and threads at one time. output_bytes: kept of stdout and of stderr each;
    the rest is read and dropped.
    """

    seconds: float = 10.0
    memory_bytes: int = 1 << 30
    disk_bytes: int = 64 << 20
    processes: int = 64
    output_bytes: int = 1 << 20


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    exit_code: its own, or 128 + the signal's number. timed_out, out_of_memory: stopped by that
    limit. cut: it wrote more than `output_bytes`, of which the beginning is here.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    out_of_memory: bool = False
    cut: bool = False

    @property
    def ok(self) -> bool:
        """It ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out and not self.out_of_memory


def last_line(finished: Finished) -> str:
    """The last line of what it wrote to stderr, or its exit code."""
    told = finished.stderr.decode(errors="replace").strip().splitlines()
    return told[-1] if told else f"exit code {finished.exit_code}"


class Sandbox(Protocol):
    """Runs commands that nobody trusts. Safe to use from several threads at once."""

    @property
    def name(self) -> str:
        """As in `--sandbox`."""
        ...

    def __hash__(self) -> int:
        """Equal sandboxes behave alike: what was found out about one holds."""
        ...

    @property
    def not_isolated(self) -> tuple[str, ...]:
        """What it does not keep from the command: one short line each."""
        ...

    def run(
        self,
        command: Sequence[str],
        files: Mapping[str, bytes] = ...,
        *,
        limits: Limits = ...,
        stdin: bytes = ...,
    ) -> Finished:
        """Run `command` in a new folder that holds `files` (relative path -> content).

        The folder is the command's working directory and is deleted afterwards, with every process
        that the command started. Raises SandboxError when the sandbox cannot start.
        """
        ...


@dataclass(frozen=True)
class Mount:
    """A folder of the host that commands may read, at `inside`."""

    source: str
    inside: str = field(default="")

    @property
    def target(self) -> str:
        """Where it lies in the sandbox: by default at its own path."""
        return self.inside or self.source


def check_file_name(name: str) -> str:
    """`name` if it is a relative path that stays inside the folder. Raises SandboxError."""
    parts = name.split("/")
    if not name or name.startswith("/") or "\0" in name or any(p in ("", ".", "..") for p in parts):
        raise SandboxError(f"file name {name!r} leaves the sandbox's folder; use a relative path")
    return name
