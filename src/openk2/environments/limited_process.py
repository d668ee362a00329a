"""A subprocess with limits, for machines without anything better: it must be asked for by name.

It bounds time, memory, processes, disk and output, hands over no environment and an empty home, and
ends every process of the run. It does not hide the host's files: see `not_isolated`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from openk2.environments.attended import attend, kill_group, still_runs
from openk2.environments.bubblewrap import NOBODY, PATH, entering, with_memory
from openk2.environments.cgroup import Cgroup, make_cgroup
from openk2.environments.process_tree import exceeds
from openk2.environments.sandbox import Finished, Limits, check_file_name

_CONTAINED = Path(__file__).with_name("contained.py")


@dataclass(frozen=True)
class LimitedProcess:
    """Runs a command as this user or, started by root, as nobody."""

    name: str = field(default="subprocess", init=False)

    @property
    def not_isolated(self) -> tuple[str, ...]:
        """What a command can do that it could not in bubblewrap."""
        user = "nobody" if os.geteuid() == 0 else "this user"
        told = [
            f"it reads every file that {user} may read, and sees the host's processes",
            f"it writes wherever {user} may write",
            "disk is looked at every 50 ms, and so are memory and processes without a cgroup",
            "files that it writes outside its folder stay",
        ]
        if os.geteuid() != 0:
            told.append("it may kill or trace other processes of this user, its own supervisor too")
        if not can_take_network():
            told.append("it reaches the network: the kernel gives no network namespace")
        return tuple(told)

    def run(
        self,
        command: Sequence[str],
        files: Mapping[str, bytes] | None = None,
        *,
        limits: Limits = Limits(),
        stdin: bytes = b"",
    ) -> Finished:
        """See `Sandbox.run`."""
        group = make_cgroup(limits.memory_bytes, limits.processes + 2)
        outer = Path(tempfile.mkdtemp(prefix="openk2-"))
        try:
            folder = _fill(outer, files or {})
            argv = [
                *entering(group),
                *(sys.executable, "-I", "-S", str(_CONTAINED), _settings(command, folder, limits)),
                str(_CONTAINED.parent),
            ]
            finished = attend(
                argv,
                limits=limits,
                stdin=stdin,
                env={},
                exceeded=lambda pid: _exceeds(pid, folder, limits, group),
                stop=_stop,
            )
            return with_memory(finished, group)
        finally:
            if group:
                group.kill()
            shutil.rmtree(outer, ignore_errors=True)


@cache
def can_take_network() -> bool:
    """Whether an ordinary user's process may have a network namespace of its own here."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    drop = shutil.which("setpriv")
    if os.geteuid() == 0 and drop is None:
        return False
    as_nobody = [drop, f"--reuid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 and drop else []
    argv = [*as_nobody, unshare, "--user", "--net", "true"]
    return subprocess.run(argv, capture_output=True, timeout=10).returncode == 0


def _settings(command: Sequence[str], folder: Path, limits: Limits) -> str:
    return json.dumps(
        {
            "parent": os.getpid(),
            "command": list(command),
            "folder": str(folder),
            "user": NOBODY if os.geteuid() == 0 else None,
            "needs_no_network": can_take_network(),
            "env": {
                "PATH": PATH,
                "HOME": str(folder),
                "TMPDIR": str(folder / ".tmp"),
                "LANG": "C.UTF-8",
                "PYTHONHASHSEED": "0",
            },
            "processes": limits.processes,
            "rlimits": {
                "RLIMIT_CORE": 0,
                "RLIMIT_NOFILE": 512,
                "RLIMIT_FSIZE": limits.disk_bytes,
                "RLIMIT_DATA": limits.memory_bytes,
            },
        }
    )


def _fill(outer: Path, files: Mapping[str, bytes]) -> Path:
    folder = outer / "box"
    (folder / ".tmp").mkdir(parents=True)
    for name, data in files.items():
        path = folder / check_file_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if os.geteuid() == 0:
        outer.chmod(0o711)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    return folder


def _exceeds(pid: int, folder: Path, limits: Limits, group: Cgroup | None) -> bool:
    if disk_use(folder) > limits.disk_bytes:
        return True
    return group is None and exceeds(pid, limits.memory_bytes, limits.processes)


def disk_use(folder: Path) -> int:
    """Bytes that the files below `folder` take on the disk."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
            except OSError:
                continue  # deleted meanwhile
    return total


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the supervisor end what it adopted; by force when it does not answer."""
    if still_runs(process):
        os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while still_runs(process) and time.monotonic() < deadline:
            time.sleep(0.005)
    kill_group(process)
