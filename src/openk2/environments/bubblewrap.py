"""Bubblewrap: a file system, process table, network and users of its own, made by an ordinary user.

The command sees /usr (read-only), a work folder of bounded size and nothing else of the host: no
home, no /tmp, no repository, no environment variable, no interface but an unconnected loopback.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from openk2.environments.attended import attend
from openk2.environments.cgroup import Cgroup, make_cgroup
from openk2.environments.process_tree import exceeds
from openk2.environments.sandbox import (
    HOME,
    Finished,
    Limits,
    Mount,
    SandboxError,
    check_file_name,
)

NOBODY = 65534
PATH = "/usr/local/bin:/usr/bin:/bin"
# What compilers and runtimes under /usr read elsewhere: no passwords, no keys.
_SETTINGS = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/php", "/etc/mono")
_JAVA_SETTINGS = "java-*"


@dataclass(frozen=True)
class Bubblewrap:
    """`bwrap`. mounts: further folders that commands may read, such as a package's."""

    mounts: tuple[Mount, ...] = ()
    program: str = "bwrap"
    name: str = field(default="bubblewrap", init=False)

    @property
    def not_isolated(self) -> tuple[str, ...]:
        """The kernel is shared, and the sizes of files in /usr can be read."""
        return (
            "the kernel is the host's: a hole in it is a hole in the sandbox",
            "/usr and the mounts can be read",
            "processor time is not limited, wall-clock time is",
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
        # bwrap's two processes and the shell that sets limits count too.
        group = make_cgroup(limits.memory_bytes, limits.processes + 3)
        descriptors: list[int] = []
        try:
            argv = [
                *entering(group),
                *self._without_root(),
                self.program,
                *self._file_system(limits),
                *_content(files or {}, descriptors),
                "--",
                *_limiting(limits),
                *command,
            ]
            finished = attend(
                argv,
                limits=limits,
                stdin=stdin,
                env=environment(),
                pass_fds=descriptors,
                exceeded=lambda pid: group is None and _exceeds(pid, limits),
            )
            return with_memory(finished, group)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            if group:
                group.kill()

    def _without_root(self) -> list[str]:
        # Even without capabilities, user 0 of the host may write /proc/sys/kernel/core_pattern.
        if os.geteuid() != 0:
            return []
        drop = shutil.which("setpriv")
        if drop is None:
            raise SandboxError(
                "bubblewrap as root needs setpriv (util-linux): install it, or run as a user"
            )
        return [drop, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]

    def _file_system(self, limits: Limits) -> list[str]:
        argv = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
        if _disables_namespaces(self.program):
            argv.append("--disable-userns")
        argv += ["--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--hostname", "box"]
        argv += ["--ro-bind", "/usr", "/usr"]
        for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
            if Path(name).is_symlink():
                argv += ["--symlink", os.readlink(name), name]
            elif Path(name).is_dir():
                argv += ["--ro-bind", name, name]
        java = sorted(str(path) for path in Path("/etc").glob(_JAVA_SETTINGS))
        for name in (*_SETTINGS, *java):
            argv += ["--ro-bind-try", name, name]
        for mount in self.mounts:
            argv += ["--ro-bind", mount.source, mount.target]
        argv += ["--proc", "/proc", "--dev", "/dev"]
        argv += ["--size", str(min(limits.disk_bytes, 16 << 20)), "--tmpfs", "/dev/shm"]
        argv += ["--size", str(limits.disk_bytes), "--tmpfs", HOME]
        argv += ["--dir", f"{HOME}/.tmp", "--symlink", f"{HOME}/.tmp", "/tmp"]
        argv += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME]
        return argv


@cache
def _disables_namespaces(program: str) -> bool:
    """Whether bwrap (0.8) can forbid further user namespaces, where kernels have had holes."""
    try:
        told = subprocess.run([program, "--help"], capture_output=True, timeout=10)
    except OSError:
        return False
    return b"--disable-userns" in told.stdout + told.stderr


def environment() -> dict[str, str]:
    """All the environment variables that a command gets: none of the host's."""
    return {"PATH": PATH, "HOME": HOME, "TMPDIR": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}


def entering(group: Cgroup | None) -> list[str]:
    """The beginning of a command that enters `group` and then becomes the rest."""
    if group is None:
        return []
    entries = group.entries
    script = (
        'for file in "$@"; do [ "$file" = -- ] && break; echo 0 > "$file" || exit 125; shift; done'
    )
    return ["/bin/sh", "-c", script + '; shift; exec "$@"', "sh", *entries, "--"]


def _content(files: Mapping[str, bytes], descriptors: list[int]) -> list[str]:
    """Hand `files` over in memory: no folder of the host is shared for them."""
    argv = []
    for name, data in files.items():
        descriptor = os.memfd_create("openk2")
        descriptors.append(descriptor)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        argv += ["--file", str(descriptor), f"{HOME}/{check_file_name(name)}"]
    return argv


def _limiting(limits: Limits) -> list[str]:
    # The processes of this user in this namespace: so set inside. dash says -p where bash says -u.
    blocks = max(1, limits.disk_bytes // 512)
    script = (
        f"ulimit -c 0; ulimit -n 512; ulimit -f {blocks}; ulimit -d {limits.memory_bytes // 1024};"
        f" (ulimit -u 99) 2>/dev/null && option=-u || option=-p; ulimit $option {limits.processes};"
        ' exec "$@"'
    )
    return ["/bin/sh", "-c", script, "sh"]


def _exceeds(pid: int, limits: Limits) -> bool:
    return exceeds(pid, limits.memory_bytes, limits.processes + 3)


def with_memory(finished: Finished, group: Cgroup | None) -> Finished:
    """`finished`, out of memory if the kernel killed a process of `group` for it."""
    if group is None or not group.out_of_memory():
        return finished
    return replace(finished, out_of_memory=True)
