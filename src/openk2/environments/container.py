"""A container engine, docker or podman: a container for each run, without network or privileges."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from openk2.environments.attended import attend, kill_group, still_runs
from openk2.environments.sandbox import (
    HOME,
    Finished,
    Limits,
    SandboxError,
    check_file_name,
    last_line,
)

# Published by MultiPL-E's authors: it has all the languages of its rows.
IMAGE = "ghcr.io/nuprl/multipl-e-evaluation"
_START = 5.0  # seconds that the engine itself may take
_KILLED = 137  # by the engine, when the memory limit is hit
_NOT_STARTED = 125  # by the engine, when there is no container; a command's own 125 becomes 1


@dataclass(frozen=True)
class Container:
    """engine: docker or podman, by its path. image: has the languages; it is never pulled here."""

    engine: str
    image: str = IMAGE
    name: str = field(default="container", init=False)

    @property
    def not_isolated(self) -> tuple[str, ...]:
        """The kernel is shared."""
        return (
            "the kernel is the host's: a hole in it is a hole in the sandbox",
            "a container outlives a killed parent by at most its own time limit",
        )

    def run(
        self,
        command: Sequence[str],
        files: Mapping[str, bytes] | None = None,
        *,
        limits: Limits = Limits(),
        stdin: bytes = b"",
    ) -> Finished:
        """See `Sandbox.run`."""
        name = f"openk2-{uuid.uuid4().hex}"
        with tempfile.TemporaryDirectory(prefix="openk2-") as folder:
            _fill(Path(folder), files or {})
            finished = attend(
                self.command_line(name, folder, command, limits),
                limits=replace(limits, seconds=limits.seconds + _START),
                stdin=stdin,
                env=dict(os.environ),  # the engine's client, not the command, reads it
                stop=lambda process: self._stop(process, name),
            )
        if finished.exit_code == _NOT_STARTED:
            raise SandboxError(f"container: {self.engine} started none ({last_line(finished)})")
        timed_out = finished.timed_out or finished.exit_code == 124
        out_of_memory = finished.exit_code == _KILLED and not timed_out
        return replace(finished, timed_out=timed_out, out_of_memory=out_of_memory)

    def has_image(self) -> bool:
        """Whether the image is on this machine. Raises SandboxError if the engine does not say."""
        inspect = [self.engine, "image", "inspect", self.image]
        try:
            return subprocess.run(inspect, capture_output=True, timeout=10).returncode == 0
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxError(f"container: {self.engine} does not answer: start it") from error

    def command_line(
        self, name: str, folder: str, command: Sequence[str], limits: Limits
    ) -> list[str]:
        """What is run: every limit is the engine's own, but time, which `timeout` keeps inside."""
        script = (
            f'cp -r /files/. {HOME} && timeout -k 1 {limits.seconds:g} "$@"; code=$?; '
            f'[ "$code" = {_NOT_STARTED} ] && code=1; exit "$code"'
        )
        return [
            *(self.engine, "run", "--rm", "--interactive", "--init", "--name", name),
            *("--pull", "never", "--network", "none", "--read-only", "--user", "65534:65534"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes)),
            *("--pids-limit", str(limits.processes), "--ulimit", "core=0"),
            *("--tmpfs", f"{HOME}:rw,exec,nosuid,nodev,mode=1777,size={limits.disk_bytes}"),
            *("--shm-size", "16m", "--volume", f"{folder}:/files:ro", "--workdir", HOME),
            *("--env", f"HOME={HOME}", "--env", f"TMPDIR={HOME}", "--env", "PYTHONHASHSEED=0"),
            *("--entrypoint", "/bin/sh", self.image, "-c", script, "sh", *command),
        ]

    def _stop(self, process: subprocess.Popen[bytes], name: str) -> None:
        if still_runs(process):
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run([self.engine, "kill", name], capture_output=True, timeout=10)
        kill_group(process)


def find_engine() -> str | None:
    """Path of a container engine that answers, docker before podman; None if none does."""
    for name in ("docker", "podman"):
        path = shutil.which(name)
        if path is None:
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run([path, "info"], capture_output=True, timeout=10).returncode == 0:
                return path
    return None


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.chmod(0o755)
    for name, data in files.items():
        path = folder / check_file_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
