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

from .interrupted_run import main
from .made_up import FakeServer, collect_inspects_garbage, fake_server, right, write_sums

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
swept = pytest.fixture(autouse=True)(collect_inspects_garbage)

RUN = Path(__file__).with_name("interrupted_run.py")


def home_below(folder: Path) -> dict[str, str]:
    """Where inspect would write if it was let."""
    home = folder / "home"
    folders = {"CACHE": "cache", "DATA": "data", "STATE": "state", "CONFIG": "config"}
    xdg = {f"XDG_{name}_HOME": str(home / folder) for name, folder in folders.items()}
    return {"HOME": str(home), **xdg}


def start(url: str, folder: Path) -> "subprocess.Popen[str]":
    environment = os.environ | home_below(folder)
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
def test_what_was_answered_is_not_asked_again(
    tmp_path: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
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
        for name, value in home_below(tmp_path).items():
            monkeypatch.setenv(name, value)
        main(server.url, tmp_path)
    assert capsys.readouterr().out.split() == ["ran"]
    lost = before.keys() & Counter(calls).keys()
    assert sum(before.values()) == 6
    assert len(lost) == 2
    assert before + Counter(calls) == Counter({f"{n}+1": 1 + (f"{n}+1" in lost) for n in range(8)})
    assert not list((tmp_path / "home").rglob("inspect*"))
