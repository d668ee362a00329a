"""A cgroup for one run: the kernel counts memory and processes of the whole tree.

Version 1 (a hierarchy each for memory and pids) and version 2, wherever this process may make one
below a group that has both controllers. Where it may not, limits are kept by looking at the
processes instead.
"""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from openk2.environments.sandbox import SandboxError

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "openk2-"
# By the number of hierarchies: the files that each one's groups must have.
_LIMITS = {
    1: (("memory.max", "pids.max"),),
    2: (("memory.limit_in_bytes",), ("pids.max",)),
}


@dataclass(frozen=True)
class Cgroup:
    """One group: its folder in each hierarchy (one with version 2)."""

    folders: tuple[Path, ...]

    @property
    def entries(self) -> list[str]:
        """The files to which a process writes 0 to enter."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def out_of_memory(self) -> bool:
        """Whether the kernel killed a process of the group for its memory."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):
                    for line in (folder / name).read_text().splitlines():
                        key, value = line.split()
                        if key == "oom_kill" and int(value):
                            return True
        return False

    def kill(self) -> None:
        """End every process in it, and the group."""
        for _ in range(200):
            pids = {pid for f in self.folders for pid in (f / "cgroup.procs").read_text().split()}
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            if not pids:
                break
            time.sleep(0.005)
        for folder in self.folders:
            _remove(folder)


def make_cgroup(memory_bytes: int, processes: int) -> Cgroup | None:
    """A new group with these limits, or None where this process may make none.

    Raises SandboxError where it may, but the kernel now refuses one.
    """
    parents = cgroup_parents()
    if not parents:
        return None
    name = f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    group = Cgroup(tuple(parent / name for parent in parents))
    try:
        for folder in group.folders:
            _make(folder, memory_bytes, processes)
    except OSError as error:
        for folder in group.folders:
            _remove(folder)
        raise SandboxError(
            f"no cgroup {name} in {parents[0]}: {error.strerror}: run fewer programs at one time, "
            "or name another sandbox, such as --sandbox container"
        ) from error
    return group


def _make(folder: Path, memory_bytes: int, processes: int) -> None:
    folder.mkdir()
    for file, value in (
        ("memory.max", memory_bytes),
        ("memory.swap.max", 0),
        ("memory.limit_in_bytes", memory_bytes),
        ("memory.memsw.limit_in_bytes", memory_bytes),
        ("pids.max", processes),
    ):
        if (folder / file).exists():
            (folder / file).write_text(str(value))


@cache
def cgroup_parents() -> tuple[Path, ...]:
    """Where groups can be made: one folder (version 2), two (memory and pids), or none."""
    for parents in _candidates():
        files = _LIMITS[len(parents)]
        if all(map(_has_limits, parents, files)):
            for parent in parents:
                _remove_leftovers(parent)
            return parents
    return ()


def _candidates() -> list[tuple[Path, ...]]:
    """Version 2: this process's group, then those above it. Version 1: one of each hierarchy."""
    own: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own |= {name: Path(path.lstrip("/")) for name in controllers.split(",")}
    found: list[tuple[Path, ...]] = []
    if "" in own and (_ROOT / "cgroup.controllers").exists():
        found += [(_ROOT / path,) for path in (own[""], *own[""].parents)]
    if {"memory", "pids"} <= own.keys():
        found.append(tuple(_ROOT / name / own[name] for name in ("memory", "pids")))
    return found


def _has_limits(parent: Path, files: tuple[str, ...]) -> bool:
    # Not by reading permissions: a mount may be read-only, a controller not handed down.
    probe = parent / f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        probe.mkdir()
    except OSError:
        return False
    try:
        entering = ["/bin/sh", "-c", 'echo 0 > "$1"', "sh", str(probe / "cgroup.procs")]
        has_files = all((probe / file).exists() for file in files)
        return has_files and subprocess.run(entering, capture_output=True).returncode == 0
    finally:
        _remove(probe)


def _remove_leftovers(parent: Path) -> None:
    # A parent killed by force leaves its groups, empty, behind.
    for folder in parent.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _remove(folder)


def _remove(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # the kernel is still taking its last process down
            time.sleep(0.005)
        else:
            return
