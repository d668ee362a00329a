"""`openk2 serve --upstream`: options, refusals, and a gateway in a process of its own."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from typer.testing import CliRunner

from openk2.chat import Tokenizer
from openk2.cli import serve as serve_module
from openk2.cli.main import app


class Engine(BaseHTTPRequestHandler):
    """An upstream that says hi, by completions and by chat, to whoever has the key."""

    protocol_version = "HTTP/1.1"

    def send(self, data: bytes) -> None:
        allowed = self.headers["Authorization"] == "Bearer s3cret"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.send(json.dumps({"data": [{"id": "k2", "max_model_len": 99}]}).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = {"delta": {"content": "hi"}} if "chat" in self.path else {"text": "hi"}
        usage = {"prompt_tokens": 1, "completion_tokens": 3}
        chunk = {"choices": [{**said, "finish_reason": "stop"}], "usage": usage}
        self.send(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url():
    """The engine's URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def no_model(monkeypatch):
    """Opening a model fails the test."""

    def open_local(model, **options):
        raise AssertionError(f"{model} was opened")

    monkeypatch.setattr(serve_module, "open_local", open_local)


UPSTREAM = ["--upstream", "http://127.0.0.1:1", "--upstream-model", "k2"]
BUILT_IN = ["--tokenizer", "openk2-nano"]


@pytest.mark.parametrize(
    ("arguments", "option", "words"),
    [
        (["--upstream-model", "k2"], "--upstream-model", "without --upstream"),
        (["--tokenizer", "x"], "--tokenizer", "without --upstream"),
        (["openk2-nano", *UPSTREAM, *BUILT_IN], "MODEL", "with --upstream"),
        ([*UPSTREAM, *BUILT_IN, "--device", "cpu"], "--device", "with --upstream"),
        ([*UPSTREAM, *BUILT_IN, "--max-batch", "4"], "--max-batch", "with --upstream"),
        (UPSTREAM, "--tokenizer", "is missing"),
        ([*UPSTREAM[:2], *BUILT_IN], "--upstream-model", "is missing"),
    ],
)
def test_options_that_do_not_fit_together_are_a_usage_error(no_model, arguments, option, words):
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 2
    assert option in result.stderr
    assert words in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*UPSTREAM, *BUILT_IN], "give --context-length"),
        ([*UPSTREAM, "--tokenizer", "no/such/folder"], "no/such/folder"),
        ([*UPSTREAM, *BUILT_IN, "--upstream-key", "ü"], "no header can carry"),
    ],
)
def test_a_gateway_that_cannot_be_opened_is_one_line(no_model, arguments, words):
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 1
    assert words in result.stderr
    assert [line for line in result.stderr.split("\n") if line.startswith("error: ")]


@pytest.mark.parametrize("mode", ["completions", "chat"])
def test_a_gateway_answers_with_its_upstream_in_both_modes(url, tmp_path, mode):
    Tokenizer([bytes([byte]) for byte in range(256)]).save(tmp_path)
    upstream = ["--upstream", url, "--upstream-model", "k2", "--upstream-key", "s3cret"]
    if mode == "completions":
        upstream += ["--tokenizer", str(tmp_path)]
    with gateway(*upstream, "--upstream-mode", mode, "--name", "front") as line:
        assert line.startswith("front is ready at ")
        front = line.split()[-1]
        body = {"model": "front", "messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(f"{front}/chat/completions", json={**body, "max_tokens": 9}).json()
        assert answer["choices"][0]["message"]["content"] == "hi"
        shown = httpx.get(front.removesuffix("/v1") + "/metrics").text
        assert "openk2_engine_upstreams_healthy 1.0" in shown
        raw = httpx.post(f"{front}/completions", json={"model": "front", "prompt": "a"})
        assert raw.status_code == (200 if mode == "completions" else 404)


@contextmanager
def gateway(*arguments):
    """`openk2 serve` with these arguments alone: its first line."""
    command = [sys.executable, "-m", "openk2.cli.main", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline()
        finally:
            process.kill()
