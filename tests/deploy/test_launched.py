"""`openk2 deploy vllm --run` with a stand-in for vLLM: ready, answering, stopped, nothing left."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from openk2.deploy import (
    ChatStyle,
    DeployedModel,
    DeployError,
    LocalLaunch,
    installed_flags,
    recorded_flags,
)
from openk2.pretrained import assets_folder

# A package of vLLM's name: its parser, and a server that answers as an upstream must. It starts a
# child that ignores SIGTERM, as a worker that hangs does.
PARSER = """
import argparse
def make_arg_parser(parser):
    for flag in ("--model", "--served-model-name", "--host", "--port", "--dtype",
                 "--max-model-len", "--compilation-config", "--tool-call-parser", "--seed"):
        parser.add_argument(flag)
    for flag in ("--enforce-eager", "--enable-auto-tool-choice"):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction)
    return parser
"""
SERVER = """
import json, os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from argparse import ArgumentParser
from vllm.entrypoints.launchers.cli_args import make_arg_parser
options = make_arg_parser(ArgumentParser()).parse_args()
if options.seed == "13":
    sys.exit("ValueError: an engine that does not start")
ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", ignore])
class Engine(BaseHTTPRequestHandler):
    def send(self, data):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.send(json.dumps({"data": [{"id": "k2", "max_model_len": 4096}]}).encode())
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        chunk = {"choices": [{"text": "hi", "finish_reason": "stop"}]}
        self.send(b"data: " + json.dumps(chunk).encode() + b"\\n\\ndata: [DONE]\\n\\n")
    def log_message(self, *_): pass
ThreadingHTTPServer((options.host, int(options.port)), Engine).serve_forever()
"""
FILES = {
    "__init__.py": "import atexit; __version__ = '9.9'; atexit.register(print, 'bye')",
    "utils/__init__.py": "",
    "utils/argparse_utils.py": "from argparse import ArgumentParser as FlexibleArgumentParser",
    "entrypoints/__init__.py": "",
    "entrypoints/launchers/__init__.py": "",
    "entrypoints/launchers/cli_args.py": PARSER,
    "entrypoints/openai/__init__.py": "",
    "entrypoints/openai/api_server.py": SERVER,
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the stand-in."""
    folder = tmp_path_factory.mktemp("engine")
    for name, text in FILES.items():
        (folder / "vllm" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "vllm" / name).write_text(text)
    wrapper = folder / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def free_ports() -> tuple[int, int]:
    """Two ports that nothing listens on."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


class Command:
    """`openk2 deploy` in processes of their own, with a state folder of the test's."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.port, self.engine_port = free_ports()
        # A proxy, as many machines have one, cannot reach the loopback.
        proxy = {"http_proxy": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
        self.environment = {**os.environ, "XDG_STATE_HOME": str(folder), **proxy}
        self.run_words = [
            "vllm", str(assets_folder() / "openk2-nano"), "--run", "--python", str(python),
            "--name", "k2", "--port", str(self.port), "--engine-port", str(self.engine_port),
            "--log", str(folder / "log"),
        ]  # fmt: skip

    def call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """One command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "openk2.cli.main", "deploy", *words],
            env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def start(self, *extra: str) -> "subprocess.CompletedProcess[str]":
        """Both processes, in the background."""
        return self.call(*self.run_words, "--detach", *extra)

    def stop(self) -> "subprocess.CompletedProcess[str]":
        """By the command."""
        return self.call("stop", "--port", str(self.port))

    @property
    def processes(self) -> list[int]:
        """Those that have one of the ports in their command, or were started by such a one."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if self.environment["XDG_STATE_HOME"].encode() in words:
                    found.append(int(entry.name))
        return found

    @property
    def gone(self) -> bool:
        """Whether no process is left and both ports can be bound."""
        for port in (self.port, self.engine_port):
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind(("127.0.0.1", port))
                except OSError:
                    return False
        return not self.processes


@pytest.fixture
def command(python: Path, tmp_path: Path) -> Iterator[Command]:
    """The commands; what a failed test leaves is killed."""
    made = Command(python, tmp_path)
    yield made
    for process in made.processes:
        os.kill(process, signal.SIGKILL)


def test_started_in_the_background_it_answers_and_stop_leaves_nothing(command: Command) -> None:
    started = command.start("--", "--seed", "-1")
    assert started.returncode == 0, started.stderr
    assert "ready at http://127.0.0.1:" in started.stdout
    body = {"model": "k2", "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(f"http://127.0.0.1:{command.port}/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "hi"
    again = command.start()
    assert again.returncode == 1
    assert f"a deployment has port {command.port}: `openk2 deploy stop`" in again.stderr
    stopped = command.stop()
    assert stopped.returncode == 0, stopped.stderr
    assert command.gone
    assert "nothing that openk2 deploy started" in command.stop().stderr


def test_ctrl_c_ends_both_and_what_the_engine_started(command: Command) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-m", "openk2.cli.main", "deploy", *command.run_words],
        env=command.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert "k2 is ready at" in holder.stdout.readline()
    assert len(command.processes) == 4
    holder.send_signal(signal.SIGINT)
    assert holder.wait(60) == 0
    assert holder.stdout.read() == "k2 has stopped\n"
    holder.stdout.close()
    assert command.gone


def test_an_engine_that_does_not_start_is_one_line_and_leaves_nothing(command: Command) -> None:
    failed = command.start("--", "--seed", "13")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: vllm ended with status 1: ValueError: an engine that")
    assert command.gone


def test_a_port_that_another_program_has_is_refused_before_anything_starts(
    command: Command,
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", command.engine_port))
        other.listen()
        failed = command.start()
    assert failed.returncode == 1
    assert f"error: port {command.engine_port} is taken" in failed.stderr
    assert command.gone


@pytest.mark.slow
def test_stop_ends_what_a_killed_holder_could_not(command: Command) -> None:
    assert command.start().returncode == 0
    holders = [
        process
        for process in command.processes
        if b"--run" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]
    os.kill(holders[0], signal.SIGKILL)
    time.sleep(0.2)
    assert not command.gone
    stopped = command.stop()
    assert stopped.returncode == 0, stopped.stderr
    assert command.gone


def launch(*extra: str, port: int = 8000, remote_code: bool = False) -> LocalLaunch:
    """Of a model in a folder that is not there."""
    model = DeployedModel("/models/a", "a", ChatStyle.other, remote_code)
    flags = recorded_flags("vllm")
    return LocalLaunch(
        model, Path(sys.executable), flags, 4096, 1, "auto", port, 8001, Path("log"), extra
    )


def test_code_in_the_checkpoints_folder_is_run_only_if_the_user_says_so() -> None:
    assert "--trust-remote-code" not in launch().engine_command()
    with pytest.raises(DeployError, match="has code of its own"):
        launch(remote_code=True).engine_command()
    words = launch("--trust-remote-code", remote_code=True).engine_command()
    assert words.count("--trust-remote-code") == 1


def test_the_engine_is_not_taken_for_the_gateway() -> None:
    with pytest.raises(DeployError, match="are both 8001"):
        launch(port=8001)


def test_the_parser_of_an_installed_engine_decides(python: Path) -> None:
    flags = installed_flags("vllm", python)
    assert flags.version == "9.9"
    assert flags.takes.of("--no-enforce-eager") == "none"
    assert flags.takes.of("--seed") == "one"
    assert not flags.knows("--gpu-memory-utilization")


@pytest.mark.slow
@pytest.mark.skipif("OPENK2_VLLM" not in os.environ, reason="OPENK2_VLLM names no vLLM")
def test_the_recorded_table_is_the_installed_vllms() -> None:
    found = installed_flags("vllm", Path(os.environ["OPENK2_VLLM"]) / "bin" / "python")
    known = recorded_flags("vllm")
    assert found.version.partition("+")[0] == known.version
    for kind in ("none", "one", "many", "optional"):
        shown = set(getattr(found.takes, kind)) - {"--help", "-h"}
        assert shown == set(getattr(known.takes, kind))
