"""inspect_ai without its display, servers, retries and files in the user's folders."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

# Of `eval_set`. Logs are written after every sample, and nothing else listens, prints or retries.
EVAL_SET: dict[str, Any] = {
    "display": "none",
    "log_level": "error",
    "log_buffer": 1,
    "log_realtime": False,
    "log_dir_allow_dirty": True,
    "retry_attempts": 0,
    "retry_immediate": False,
    "ctl_server": False,
    "acp_server": False,
    "score_display": False,
}


@contextmanager
def quiet_inspect(out: Path) -> Iterator[None]:
    """Inspect's traces and notes go to OUT/.inspect, not to the user's folders, and what it prints
    nowhere: standard output is for the results."""
    wanted = {"XDG_DATA_HOME": str((out / ".inspect").absolute())}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
