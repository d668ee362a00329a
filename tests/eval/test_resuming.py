"""A run that was killed asks again for what was in flight, and for nothing that was answered."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from .made_up import FakeServer, fake_server, right, write_sums

RUN = Path(__file__).with_name("interrupted_run.py")


def start(url: str, folder: Path) -> "subprocess.Popen[str]":
    home = {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home" / "cache")}
    environment = {name: value for name, value in os.environ.items() if "XDG" not in name} | home
    command = [sys.executable, str(RUN), url, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def interrupt_after(count: int, number: int, server: FakeServer, folder: Path) -> Any:
    """Signal the run when the server has that many requests, and wait for its end."""
    process = start(server.url, folder)
    limit = time.monotonic() + 60
    while len(server.bodies) < count and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_what_was_answered_is_not_asked_again(tmp_path: Path, number: int) -> None:
    write_sums(tmp_path / "data", 8)
    held = Event()
    calls: list[str] = []

    def answer(question: str, body: dict[str, Any]) -> str:
        calls.append(question)
        if len(calls) > 4:
            held.wait(20)  # the fifth and the sixth are in flight when the signal comes
        return right(question, body)

    with fake_server(answer) as server:
        status, said = interrupt_after(6, number, server, tmp_path)
        held.set()
        if number == signal.SIGINT:
            assert status == 130, said
            assert "interrupted by SIGINT: again" in said[1]
            assert "Traceback" not in said[1]
        before = Counter(calls)
        calls.clear()
        again = start(server.url, tmp_path)
        out, err = again.communicate(timeout=120)
    assert out.split() == ["ran"], err
    lost = before.keys() & Counter(calls).keys()
    assert sum(before.values()) == 6
    assert len(lost) == 2
    assert before + Counter(calls) == Counter({f"{n}+1": 1 + (f"{n}+1" in lost) for n in range(8)})
    assert not list((tmp_path / "home").rglob("inspect*"))
