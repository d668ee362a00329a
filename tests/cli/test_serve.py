"""`openk2 serve` in a process of its own, with a scripted model."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
from typer.testing import CliRunner

from openk2.cli import serve as serve_module
from openk2.cli.main import app

# The command as a user runs it, but for the model behind it.
SCRIPT = """
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from openk2.chat import Tokenizer
from openk2.cli import main, serve
from openk2.generation import ScriptedChat

@contextmanager
def open_local(model, **options):
    engine = SimpleNamespace(stats=lambda: None, context_length=99)
    chat = ScriptedChat([f"I am {model}."] * 9)
    chat.stop_ids, chat.format = frozenset(), None
    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)])
    opened = {"chat": chat, "engine": engine, "tokenizer": tokenizer, "summary": None}
    yield SimpleNamespace(name="nano", **opened)
    print("closed", flush=True)

serve.open_local = open_local
main.app(["serve", *sys.argv[1:]])
"""


@contextmanager
def running(*arguments, **environment):
    """`openk2 serve` on a free port, and its first line."""
    command = [sys.executable, "-c", SCRIPT, "my-model", "--port", "0", *arguments]
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, **environment}, **outputs) as process:
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def served():
    """(process, its first line) of a server that others need no key for."""
    with running("--name", "kimi") as process_and_line:
        yield process_and_line


@pytest.fixture
def url(served):
    return served[1].split()[-1]


def test_one_line_says_the_name_and_the_url(served):
    host = "http://127.0.0.1:"
    line = served[1].rstrip("\n")
    port = line.removeprefix(f"kimi is ready at {host}").removesuffix("/v1")
    assert line == f"kimi is ready at {host}{int(port)}/v1"


def test_the_server_answers_when_the_line_is_printed(url):
    body = {"model": "kimi", "messages": [{"role": "user", "content": "hi"}]}
    answer = httpx.post(f"{url}/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"] == "I am my-model."


def test_chat_talks_to_the_server_and_finds_its_model(url):
    result = CliRunner().invoke(app, ["chat", "hi", "--url", url])
    assert (result.exit_code, result.output) == (0, "I am my-model.\n")
    result = CliRunner().invoke(app, ["chat", "hi", "--url", url, "--json"])
    assert json.loads(result.output)["message"]["content"] == "I am my-model."


def test_chat_shows_the_servers_refusal_in_one_line(url):
    result = CliRunner().invoke(app, ["chat", "hi", "--url", url, "--model", "other"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "other" in result.stderr


def test_raw_prompts_can_be_counted(url):
    root = url.removesuffix("/v1")
    answer = httpx.post(f"{root}/tokenize", json={"prompt": "hi[EOS]"}).json()
    assert (answer["tokens"], answer["max_model_len"]) == ([104, 105, 257], 99)


def test_aliases_and_keys_of_options_environment_and_file(tmp_path):
    arguments = ["--alias", "gpt-x", "--alias", "other"]
    file = tmp_path / "keys"
    file.write_text("one\n\ntwo\n")
    for keys, environment in (
        (["--api-key", "one", "--api-key", "two"], {}),
        ([], {"OPENK2_API_KEY": "one two"}),
        (["--api-key-file", str(file)], {}),
    ):
        with running(*arguments, *keys, **environment) as (process, line):
            url = line.split()[-1]
            assert httpx.get(f"{url}/models").status_code == 401
            for key in ("one", "two"):
                headers = {"Authorization": f"Bearer {key}"}
                cards = httpx.get(f"{url}/models", headers=headers).json()["data"]
                assert [card["id"] for card in cards] == ["nano", "gpt-x", "other"]
            process.kill()
            assert (process.stdout.read(), process.stderr.read()) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        ([], False),
        (["--host", "0.0.0.0"], True),
        (["--host", "0.0.0.0", "--api-key", "s3cret"], False),
    ],
)
def test_a_server_that_anyone_can_use_says_so_in_one_line(arguments, warned):
    with running(*arguments) as (process, line):
        process.kill()
        assert "is ready at" in line
        errors = process.stderr.read()
    assert errors.count("\n") == warned
    assert ("--api-key" in errors) is warned
    assert "s3cret" not in line + errors


def test_how_large_a_request_may_be_is_an_option():
    with running("--max-body", "2kB") as (_, line):
        answer = httpx.post(f"{line.split()[-1]}/chat/completions", content=b"x" * 2001)
    assert answer.status_code == 413
    assert "has 2001 bytes and 2000 are possible" in answer.json()["error"]["message"]


@pytest.mark.parametrize("key", ["", " ", "schlüssel-9f", "a\nsecond-9f", " padded-9f"])
def test_a_key_that_no_client_can_send_is_a_usage_error_that_does_not_show_it(no_model, key):
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--api-key", "ok", "--api-key", key])
    assert result.exit_code == 2
    assert "key 2" in result.stderr
    assert "9f" not in result.output


@pytest.mark.parametrize("content", [None, "", " \n\n", "ok\nschlüssel-9f\n", "\xff"])
def test_a_file_without_usable_keys_is_a_usage_error_that_does_not_show_them(
    no_model, tmp_path, content
):
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content.encode("latin-1" if content == "\xff" else "utf-8"))
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--api-key-file", str(file)])
    assert result.exit_code == 2
    assert "--api-key-file" in result.stderr
    assert "9f" not in result.output


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_an_interrupt_stops_the_server_and_closes_the_model(served, url):
    process, _ = served
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stdout.read() == "closed\n"


@pytest.fixture
def no_model(monkeypatch):
    """Opening a model fails the test."""

    def open_local(model, **options):
        raise AssertionError(f"{model} was opened")

    monkeypatch.setattr(serve_module, "open_local", open_local)


def test_a_busy_port_is_one_line_before_the_model_is_loaded(no_model):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", "--port", str(port)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"error: cannot listen on 127.0.0.1:{port}: "
        "another program uses the port: stop it or give another --port\n"
    )


def test_an_address_of_another_machine_is_one_line(no_model):
    result = CliRunner().invoke(app, ["serve", "--host", "192.0.2.1", "--port", "0"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: cannot listen on 192.0.2.1:0: ")
    assert result.stderr.count("\n") == 1


def test_a_path_that_does_not_exist_is_one_line():
    result = CliRunner().invoke(app, ["serve", "no/such/folder", "--port", "0"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "no/such/folder" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_broken_checkpoint_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    result = CliRunner().invoke(app, ["serve", str(tmp_path), "--port", "0"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "config.json" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_model_that_was_opened_is_described_on_standard_error():
    script = SCRIPT.replace("None}", "'nano: 4 parameters in int4 as stored (2 MiB)'}")
    command = [sys.executable, "-c", script, "my-model", "--port", "0"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        assert "is ready at" in process.stdout.readline()
        process.kill()
        assert process.stderr.read() == "nano: 4 parameters in int4 as stored (2 MiB)\n"
