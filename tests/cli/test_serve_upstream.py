"""`openk2 serve --upstream`: options, refusals, and a gateway in a process of its own."""

import inspect
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx
import pytest
from typer.testing import CliRunner

from openk2.chat import Tokenizer
from openk2.cli import serve as serve_module
from openk2.cli.gateway import LOCAL_ONLY, UPSTREAM_ONLY, HostName
from openk2.cli.main import app
from openk2.gateway import host_kinds
from strict_host import MISSING, StrictHost, thought
from thinking_templates import STYLES, own_template


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


def test_every_option_is_known_to_be_of_a_local_model_of_a_gateway_or_of_both():
    both = {
        "host", "port", "name", "alias", "api_key", "api_key_file", "thinking_key_file",
        "drain_seconds", "max_body", "context_length", "upstream",
    }  # fmt: skip
    options = set(inspect.signature(serve_module.serve).parameters) - {"context"}
    assert options == both | set(LOCAL_ONLY) | set(UPSTREAM_ONLY)


@pytest.mark.parametrize(
    ("arguments", "option", "words"),
    [
        (["--upstream-model", "k2"], "--upstream-model", "without --upstream"),
        (["--tokenizer", "x"], "--tokenizer", "without --upstream"),
        (["openk2-nano", *UPSTREAM, *BUILT_IN], "MODEL", "with --upstream"),
        ([*UPSTREAM, *BUILT_IN, "--device", "cpu"], "--device", "with --upstream"),
        ([*UPSTREAM, *BUILT_IN, "--max-batch", "4"], "--max-batch", "with --upstream"),
        ([*UPSTREAM, *BUILT_IN, "--weights", "plain"], "--weights", "with --upstream"),
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


@pytest.mark.parametrize(
    ("arguments", "option", "words"),
    [
        ([*UPSTREAM, *BUILT_IN, "--host-kind", "vllm"], "--host-kind", "--upstream-mode chat"),
        ([*UPSTREAM, *BUILT_IN, "--no-repair", "--state", "x"], "--state", "with --no-repair"),
        (["--state", "x"], "--state", "without --upstream"),
        (["--no-repair"], "--repair", "without --upstream"),
    ],
)
def test_options_of_repairs_that_have_no_effect_are_a_usage_error(
    no_model, arguments, option, words
):
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 2
    assert option in result.stderr
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_every_kind_of_host_can_be_named():
    assert {kind.value for kind in HostName} == {*host_kinds()} - {"unknown"}


def test_a_state_file_of_another_program_is_refused_in_one_line(no_model, tmp_path):
    state = tmp_path / "state"
    state.write_bytes(b"no database at all" * 100)
    state.chmod(0o600)
    chat = [*UPSTREAM, "--upstream-mode", "chat", "--state", str(state)]
    result = CliRunner().invoke(app, ["serve", "--port", "0", *chat])
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.split("\n") if line.startswith("error: ")]
    assert str(state) in line
    assert "not a database" in line


def asked(url, messages):
    body = {"model": "k2", "messages": messages}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=20).json()


@pytest.mark.parametrize("repairs", [True, False])
def test_a_gateway_that_was_killed_repairs_what_it_remembered(tmp_path, repairs):
    host = StrictHost(rounds=1)
    hi = {"role": "user", "content": "hi"}
    with host.running() as url:
        arguments = ["--upstream", url, "--upstream-model", "k2", "--upstream-mode", "chat"]
        arguments += ["--host-kind", "moonshot"]
        arguments += ["--state", str(tmp_path / "state")] if repairs else ["--no-repair"]
        with gateway(*arguments) as line:
            message = asked(line.split()[-1], [hi])["choices"][0]["message"]
        assert message.pop("reasoning_content") == thought("hi", 0)
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "4"}
        with gateway(*arguments) as line:
            answer = asked(line.split()[-1], [hi, message, result])
    if repairs:
        assert answer["choices"][0]["message"]["content"] == "done"
        assert (host.complete, host.refusals) == (1, [])
    else:
        assert MISSING in answer["error"]["message"]


class Thinker(Engine):
    """It thinks, then says hi, in text."""

    prompts: ClassVar[list[list[int]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.prompts.append(body["prompt"])
        chunk = {"choices": [{"text": "<think>hm</think>hi", "finish_reason": "stop"}]}
        self.send(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")


def test_a_thinking_models_folder_selects_its_format(tmp_path):
    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)], thinking=True)
    tokenizer.save(tmp_path)
    named = {str(i): {"content": name} for name, i in tokenizer.specials.items()}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": named}))
    template = own_template(STYLES["k2-thinking"])
    (tmp_path / "chat_template.jinja").write_text(template)
    hi = {"role": "user", "content": "hi"}
    with ThreadingHTTPServer(("127.0.0.1", 0), Thinker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        arguments = ["--upstream", f"http://127.0.0.1:{server.server_address[1]}"]
        arguments += [
            "--upstream-model",
            "k2",
            "--upstream-key",
            "s3cret",
            "--context-length",
            "999",
        ]
        with gateway(*arguments, "--tokenizer", str(tmp_path)) as line:
            url = line.split()[-1]
            message = asked(url, [hi])["choices"][0]["message"]
            assert message == {"role": "assistant", "content": "hi", "reasoning_content": "hm"}
            call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            dropped = {"role": "assistant", "content": "hi"}
            called = {"role": "assistant", "content": "", "tool_calls": [call]}
            asked(url, [hi, dropped, hi, called])
            # Its template leaves out thoughts of answered questions; the others are put back.
            assert "<think>hm</think>" not in tokenizer.decode(Thinker.prompts[-1])
            count = httpx.post(f"{url.removesuffix('/v1')}/tokenize", json={"messages": [hi]})
            assert count.json()["tokens"] == Thinker.prompts[0]
        server.shutdown()
        thread.join()
    assert tokenizer.decode(Thinker.prompts[0]).endswith("<|im_assistant|>assistant<|im_middle|>")
    assert "AI.<|im_end|><|im_user|>" in tokenizer.decode(Thinker.prompts[0])  # no newline
