"""The process between us and a command of the limited subprocess; run as a script, by itself.

It adopts every process that the command leaves, ends them all when the command ends or its own
parent dies, and lowers itself in the command's process only: started as root, the command is
nobody's and cannot reach this process.
"""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Run the command that the first argument (JSON) describes. Returns its exit code."""
    sys.path.insert(0, sys.argv[2])
    from process_tree import descendants  # type: ignore[import-not-found]

    settings = json.loads(sys.argv[1])
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(
        signal.SIGTERM, lambda number, frame: _end(descendants, settings["folder"], number)
    )
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != settings["parent"]:  # it died before we asked to be told
        return 1
    child = os.fork()
    if child == 0:
        _become(settings)
    status = None
    while status is None:
        pid, code = os.waitpid(-1, 0)
        status = code if pid == child else None
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _kill_all(descendants)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(settings: dict[str, Any]) -> None:
    """In the command's process: give up what it must not have, then become the command."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        os.chdir(settings["folder"])
        if settings["user"] is not None:
            os.setgroups([])
            os.setresgid(*[settings["user"]] * 3)
            os.setresuid(*[settings["user"]] * 3)
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        isolated = _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
        if settings["needs_no_network"] and not isolated:
            raise OSError("the network cannot be taken away")
        for name, value in settings["rlimits"].items():
            resource.setrlimit(getattr(resource, name), (value, value))
        if isolated:  # the limit counts this namespace; elsewhere, all processes of the user
            resource.setrlimit(resource.RLIMIT_NPROC, (settings["processes"],) * 2)
        os.execvpe(settings["command"][0], settings["command"], settings["env"])
    except OSError as error:
        print(f"{settings['command'][0]}: {error}", file=sys.stderr, flush=True)
        os._exit(127)


def _end(descendants: Any, folder: str, number: int) -> None:
    _kill_all(descendants)
    shutil.rmtree(os.path.dirname(folder), ignore_errors=True)
    os._exit(128 + number)


def _kill_all(descendants: Any) -> None:
    # New ones may come while we look: stop all first, then kill, until none is left.
    while tree := descendants(os.getpid()):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in tree:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue


if __name__ == "__main__":
    sys.exit(main())
