"""The record of a deployment that runs on this machine, by which `openk2 deploy stop` finds it.

A file a port of the gateway, in the user's state folder: runtime folders are removed at logout,
which a deployment in the background outlives. It names the process that holds the engine and the
gateway, with its start time: a number that another process has got since is not mistaken for it.
"""

import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from openk2.deploy.error import DeployError
from openk2.record import write_file_atomically

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class RunningDeployment:
    """holder: the process that started the others. children: leaders of the sessions that it
    started. Each with its start time, in the kernel's ticks. port: of the gateway. url: for
    clients. log: of the children. ready: whether both answer."""

    holder: tuple[int, int]
    children: tuple[tuple[int, int], ...]
    port: int
    url: str
    log: str
    ready: bool

    @property
    def held(self) -> bool:
        """Whether the holder still runs, which ends the others when it ends."""
        return runs(*self.holder)

    @property
    def alive(self) -> bool:
        """Whether anything of it still runs."""
        return self.held or any(runs(*child) for child in self.children)


def state_folder() -> Path:
    """Of this machine and user: several machines may share a home."""
    base = os.environ.get("XDG_STATE_HOME")
    folder = Path(base) if base else Path.home() / ".local" / "state"
    folder = folder / "openk2-deploy" / socket.gethostname()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise DeployError(f"{folder} belongs to another user: set XDG_STATE_HOME")
    return folder


def log_file(port: int) -> Path:
    """Where the processes behind a gateway's port write, by default: in no folder of everybody's,
    where another user could have put a link."""
    return state_folder() / f"{port}.log"


def record_file(port: int) -> Path:
    """Where the record of a gateway's port is."""
    return state_folder() / f"{port}.json"


def start_time(process: int) -> int | None:
    """The process's start in ticks since boot; None if there is none, or it is a zombie."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state == "Z" else int(rest[18])


def runs(process: int, started: int) -> bool:
    """Whether it is that process, and not a later one of its number."""
    return start_time(process) == started


def record_running(port: int, url: str, log: Path, children: Sequence[int], *, ready: bool) -> None:
    """Write the record of this process, or write it anew."""
    known = [(process, start_time(process)) for process in (os.getpid(), *children)]
    holder, *others = [(process, started) for process, started in known if started is not None]
    running = RunningDeployment(holder, tuple(others), port, url, str(log), ready)
    write_file_atomically(record_file(port), json.dumps(asdict(running)))


def forget_running(port: int) -> None:
    """Remove the record of this process; that of another stays."""
    running = find_running(port)
    if running is not None and running.holder[0] == os.getpid():
        record_file(port).unlink(missing_ok=True)


def read_running(file: Path) -> RunningDeployment:
    """The record in a file. Raises OSError, DeployError."""
    try:
        data = json.loads(file.read_text())
        holder, children = tuple(data.pop("holder")), data.pop("children")
        return RunningDeployment(holder, tuple(tuple(child) for child in children), **data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DeployError(f"{file} is no record of a deployment ({error}): remove it") from error


def find_running(port: int) -> RunningDeployment | None:
    """What runs at the gateway's port, if this user started it; a stale record is removed."""
    file = record_file(port)
    try:
        running = read_running(file)
    except FileNotFoundError:
        return None
    if running.alive:
        return running
    file.unlink(missing_ok=True)
    return None


def stop_running(port: int, seconds: float) -> RunningDeployment:
    """Stop what runs at the port, and return when its processes are gone and the port is free.

    Raises DeployError if nothing runs there, or does not stop in time.
    """
    running = find_running(port)
    if running is None:
        raise DeployError(f"nothing that openk2 deploy started listens on port {port}: give --port")
    if running.held:
        os.kill(running.holder[0], signal.SIGTERM)
    else:
        end_orphans(running)
    end = time.monotonic() + seconds
    while running.alive or not port_is_free(port):
        if time.monotonic() > end:
            raise DeployError(
                f"process {running.holder[0]} has not stopped in {seconds:g} s: see {running.log}"
            )
        time.sleep(POLL_SECONDS)
    return running


def end_orphans(running: RunningDeployment) -> None:
    """End the sessions of a holder that was killed, and so could not."""
    for process, started in running.children:
        if runs(process, started):
            os.killpg(process, signal.SIGKILL)


def port_is_free(port: int) -> bool:
    """Whether a server can listen there now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
