"""`openk2 chat` over scripted answers."""

import json
from contextlib import contextmanager, nullcontext

import pytest
from typer.testing import CliRunner

from openk2.chat import ContentDelta, ReasoningDelta
from openk2.cli import chat as chat_module
from openk2.cli.main import app
from openk2.generation import ChatAnswer, ChatFinish, HttpChat, ScriptedChat
from openk2.protocol import EngineBusyError


class LocalModel:
    """A scripted local model that notes what is asked of it."""

    def __init__(self, answers) -> None:
        self.chat = ScriptedChat(answers)
        self.opened: list[str] = []
        self.closed = 0

    @contextmanager
    def open(self, model: str):
        self.opened.append(model)
        try:
            yield self
        finally:
            self.closed += 1


@pytest.fixture
def local(monkeypatch):
    def make(*answers):
        model = LocalModel(answers)
        monkeypatch.setattr(chat_module, "open_local", model.open)
        return model

    return make


def run(*arguments, **options):
    return CliRunner().invoke(app, ["chat", *arguments], **options)


def test_an_answer_is_printed_and_the_model_closed(local):
    model = local("A star that collapsed.")
    result = run("What is a black hole?")
    assert (result.exit_code, result.output) == (0, "A star that collapsed.\n")
    (request,) = model.chat.requests
    assert request.messages == [{"role": "user", "content": "What is a black hole?"}]
    assert request.temperature == 0.6
    assert (model.opened, model.closed) == (["openk2-nano"], 1)


def test_options_reach_the_request(local):
    model = local("ok")
    run("hi", "--model", "m", "--system", "Be brief.", "--temperature", "0", "--max-tokens", "5")
    (request,) = model.chat.requests
    assert request.messages[0] == {"role": "system", "content": "Be brief."}
    assert (request.temperature, request.max_tokens) == (0, 5)
    assert model.opened == ["m"]


def test_json_is_one_object_with_the_message_and_its_cost(local):
    local(ChatAnswer("雪", finish_reason="length", prompt_tokens=9, completion_tokens=2))
    assert json.loads(run("hi", "--json").output) == {
        "message": {"role": "assistant", "content": "雪"},
        "finish_reason": "length",
        "prompt_tokens": 9,
        "completion_tokens": 2,
    }


@pytest.mark.parametrize(
    ("options", "thought", "note"),
    [
        (["--max-tokens", "4"], "", "(cut off at 4 tokens: raise --max-tokens)\n"),
        ([], "", "(cut off: the context is full)\n"),
        (["--max-tokens", "4"], "hm", "(cut off while thinking at 4 tokens: raise --max-tokens)\n"),
        (["--max-tokens", "4", "--json"], "", ""),
    ],
)
def test_an_answer_that_was_cut_off_says_so(local, monkeypatch, options, thought, note):
    said = "" if thought else "I am a small"

    async def stream(request):
        if thought:
            yield ReasoningDelta(thought)
        else:
            yield ContentDelta(said)
        yield ChatFinish("length", 9, 4)

    model = local()
    monkeypatch.setattr(model.chat, "stream", stream)
    result = run("hi", *options)
    assert (result.exit_code, result.stderr) == (0, note)
    assert "--json" in options or result.stdout == f"{said}\n"


def test_an_answer_that_a_server_cut_off_says_so(monkeypatch):
    remote = HttpChat("http://127.0.0.1:1", "m")
    cut = ScriptedChat([ChatAnswer("I am", finish_reason="length")])
    monkeypatch.setattr(remote, "stream", cut.stream)
    monkeypatch.setattr(chat_module, "opened", lambda *_: nullcontext(remote))
    assert run("hi").stderr == "(cut off at the server's limit: give --max-tokens)\n"


def test_piped_input_is_the_message(local):
    model = local("ok")
    run(input="two\nlines\n")
    assert model.chat.requests[0].messages == [{"role": "user", "content": "two\nlines\n"}]


def test_a_busy_engine_is_one_line(local, monkeypatch):
    model = local()

    def stream(request):
        raise EngineBusyError("4 requests are waiting")

    monkeypatch.setattr(model.chat, "stream", stream)
    result = run("hi")
    assert (result.exit_code, result.stderr) == (1, "error: 4 requests are waiting\n")
    assert model.closed == 1


def test_a_server_that_is_not_there_is_one_line():
    result = run("hi", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: http://127.0.0.1:1/v1/models ")
    assert result.stderr.count("\n") == 1


def test_of_several_models_of_a_server_one_must_be_named(monkeypatch):
    asked = []

    def remote(url, name, *, api_key):
        asked.append(name)
        return ScriptedChat(["ok"])

    monkeypatch.setattr(chat_module, "HttpChat", remote)
    names = ["b" * 200, *(f"m{i}" for i in range(1, 13))]
    monkeypatch.setattr(chat_module, "served_models", lambda url, api_key: names)
    result = run("hi", "--url", "http://h")
    assert (result.exit_code, asked) == (1, [])
    first = ", ".join(["b" * 80, *names[1:10]])
    assert result.stderr == (
        f"error: http://h lists 13 models, {first} and 3 more: name one with --model\n"
    )
    names[2:] = []
    assert "2 models, " + "b" * 80 + ", m1: name one" in run("hi", "--url", "http://h").stderr
    names[1:] = []
    monkeypatch.setattr(chat_module, "answer_once", lambda *_: None)
    for options, name in ((), names[0]), (("--model", "m7"), "m7"):
        assert run("hi", "--url", "http://h", *options).exit_code == 0
        assert asked[-1] == name


def test_a_conversation_keeps_its_history_but_not_an_interrupted_turn(monkeypatch, capsys):
    generator = ScriptedChat(["one", "two", "three"])
    typed = iter(["first", " ", "second", "third"])

    def read(prompt):
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    def answer_once(generator, request, as_json):
        answer = real_answer_once(generator, request, as_json)
        if request.messages[-1]["content"] == "second":
            raise KeyboardInterrupt
        return answer

    real_answer_once = chat_module.answer_once
    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr(chat_module, "answer_once", answer_once)
    chat_module.converse(generator, chat_module.ChatRequest([]), as_json=False)
    assert capsys.readouterr().out == "one\ntwo\nthree\n\n"
    assert [m["content"] for m in generator.requests[-1].messages] == ["first", "one", "third"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_commands_in_an_answer_do_not_reach_the_terminal(monkeypatch, options):
    said = "red \x1b[31m bell \x07 turned \u202e end\r"
    monkeypatch.setattr(chat_module, "opened", lambda *_: nullcontext(ScriptedChat([said])))
    result = CliRunner().invoke(app, ["chat", "hi", *options])
    assert result.exit_code == 0
    for character in "\x1b\x07\u202e\r":
        assert character not in result.output
    if options:
        assert json.loads(result.output)["message"]["content"] == said
    else:
        assert result.output == "red \\u001b[31m bell \\u0007 turned \\u202e end\n"
