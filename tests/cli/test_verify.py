"""`openk2 verify`: options, output and exit status."""

import json
import socket
import threading
import time

import pytest
import uvicorn
from typer.testing import CliRunner

from openk2.chat import train_tokenizer
from openk2.cli.main import app
from openk2.cli.verify import read_prompts
from openk2.generation import ScriptedChat
from openk2.server import create_app
from openk2.verify import CHECKS, NUMERICS
from thinking_templates import STYLES, own_template


@pytest.fixture(scope="module")
def url():
    """A server whose model only ever says "No.", whatever it is asked."""
    chat = ScriptedChat(["No."] * 10_000)
    server = uvicorn.Server(
        uvicorn.Config(create_app(chat, model="no-model"), log_config=None, lifespan="off")
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def verify(*arguments):
    return CliRunner(env={"OPENK2_API_KEY": None}).invoke(app, ["verify", *arguments])


def test_a_check_that_passes_is_status_0(url):
    done = verify(url, "--only", "stop-tokens", "--only", "invalid-choice")
    assert done.exit_code == 0, done.output
    assert "no-model at" in done.stdout
    assert "2 passed, 0 failed, 0 skipped" in done.stdout


def test_a_check_that_fails_is_status_1_in_json_and_on_a_page(url, tmp_path):
    page = tmp_path / "report.html"
    done = verify(url, "--only", "required", "--json", "--html", str(page), "--seed", "5")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    [result] = report["results"]
    assert (result["name"], result["status"], report["passed"]) == ("required", "fail", False)
    assert report["seed"] == 5
    assert '"required" gave no call' in result["seen"]
    assert "&quot;required&quot; gave no call" in page.read_text()


def test_f1_fails_only_when_asked(url):
    assert verify(url, "--only", "trigger").exit_code == 0
    done = verify(url, "--only", "trigger", "--min-f1", "0.5")
    assert done.exit_code == 1
    assert "--min-f1" in done.stdout


def test_what_is_skipped_is_left_out(url):
    names = [check.name for check in CHECKS if check.name != "usage"]
    done = verify(url, "--json", *(part for name in names for part in ("--skip", name)))
    assert [result["name"] for result in json.loads(done.stdout)["results"]] == ["usage"]


def test_a_group_is_all_of_its_checks(url):
    done = verify(url, "--json", "--only", "numerics", "--skip", "nan-signs")
    names = [check.name for check in NUMERICS if check.name != "nan-signs"]
    assert [result["name"] for result in json.loads(done.stdout)["results"]] == names


def test_a_reference_that_is_not_there_is_status_2(url):
    done = verify(url, "--only", "reference", "--reference", "http://127.0.0.1:9")
    assert done.exit_code == 2
    assert "http://127.0.0.1:9/v1/models" in done.stderr


def test_a_reference_is_asked_beside_the_endpoint(url):
    done = verify(url, "--json", "--only", "reference", "--reference", url)
    [result] = json.loads(done.stdout)["results"]
    assert result["status"] == "skip"
    assert "0 tokens have scores at both endpoints" in result["seen"]


def test_nothing_judged_is_no_pass(url):
    assert verify(url, "--only", "schema").exit_code == 1


def test_requests_are_a_check_of_their_own(url, tmp_path):
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"messages": [{"role": "user", "content": "hi"}]}\n')
    done = verify(url, "--only", "requests", "--requests", str(asked), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["results"][0]["name"] == "requests:asked.jsonl"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "shema"], "did you mean 'schema'"),
        (["--only", "usage", "--skip", "usage"], "no check is left"),
        (["--requests", "absent.jsonl"], "absent.jsonl cannot be read"),
        (["--tokenizer", "absent"], "absent"),
        (["--html", "absent/x.html"], "the folder absent does not exist"),
        (["--min-f1", "2"], "--min-f1"),
        (["--concurrency", "0"], "--concurrency"),
        (["--api-key", "é"], "API key"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(url, options, said):
    done = verify(url, *options)
    assert done.exit_code == 2, done.output
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.output


@pytest.fixture
def thinking_folder(tmp_path):
    """A K2-Thinking's tokenizer and template."""
    tokenizer = train_tokenizer(["the sea is wide and cold"], 520)
    tokenizer.save(tmp_path)
    first = len(tokenizer.tokens)
    names = {first + at: {"content": name} for at, name in ((22, "<think>"), (23, "</think>"))}
    settings = json.dumps({"added_tokens_decoder": names})
    (tmp_path / "tokenizer_config.json").write_text(settings)
    (tmp_path / "chat_template.jinja").write_text(own_template(STYLES["k2-thinking"]))
    return tmp_path


def test_exact_sizes_are_those_of_the_template_beside_the_tokenizer(thinking_folder):
    prompts = read_prompts(thinking_folder)
    assert prompts["style"] == STYLES["k2-thinking"]
    assert prompts["tokenizer"].special("<think>")
    assert read_prompts(thinking_folder / "tiktoken.model")["style"] == STYLES["k2-thinking"]


def test_a_tokenizer_without_the_template_of_its_model_is_refused(url, thinking_folder):
    (thinking_folder / "chat_template.jinja").unlink()
    done = verify(url, "--only", "template-exact", "--tokenizer", str(thinking_folder))
    assert done.exit_code == 2
    assert "no chat template of K2's family" in done.stderr


def test_an_endpoint_that_is_not_there_is_status_2():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = verify(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert done.exit_code == 2
    assert "is the server running there" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_help_names_every_check():
    text = verify("--help").output
    assert [check.name for check in CHECKS if check.name not in text] == []
    assert "numerics" in text
