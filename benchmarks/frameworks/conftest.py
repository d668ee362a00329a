"""`openk2 serve` of the built-in model as a process, for frameworks in an environment of their own.

OPENK2_PYTHON names the interpreter that has openk2.
"""

import os
import queue
import subprocess
import threading
from collections.abc import Iterator

import pytest

# Before any framework is imported: none of them may ask another machine for anything.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
os.environ["LANGSMITH_TRACING"] = "false"

MODEL = "openk2-nano"
ALIAS = "claude-small"
START_SECONDS = 120
SERVE = "from openk2.cli.main import app; app()"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The server's address, without /v1."""
    command = [os.environ["OPENK2_PYTHON"], "-c", SERVE, "serve", "--port", "0", "--alias", ALIAS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines: queue.Queue[str] = queue.Queue()
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: lines.put(process.stdout.readline()))
        reader.start()
        try:
            # "openk2-nano is ready at http://127.0.0.1:PORT/v1"
            line = lines.get(timeout=START_SECONDS)
            assert " is ready at " in line, line
            yield line.split()[-1].removesuffix("/v1")
        finally:
            process.terminate()
            reader.join()


@pytest.fixture(scope="session")
def v1(server: str) -> str:
    return f"{server}/v1"
