"""A local model is served for a run, and its server never outlives the run."""

import subprocess
import sys
import time

import httpx
import pytest

from openk2.eval.local_server import LocalServerError, local_server

HOLD = """
import time
from openk2.eval.local_server import local_server
with local_server("openk2-nano-base") as url:
    print(url, flush=True)
    time.sleep(60)
"""


def test_a_model_that_does_not_exist_is_one_line() -> None:
    with (
        pytest.raises(LocalServerError, match="openk2 serve no-such-model: ") as raised,
        local_server("no-such-model"),
    ):
        pass
    assert "\n" not in str(raised.value)


def test_the_server_ends_with_a_run_that_was_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/models").status_code == 200
        process.kill()
    limit = time.monotonic() + 20
    while answers(url) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not answers(url)


def answers(url: str) -> bool:
    try:
        httpx.get(f"{url}/models")
    except httpx.TransportError:
        return False
    return True
