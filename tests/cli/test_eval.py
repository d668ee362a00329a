"""`openk2 eval`: the measures over a server and a scripted local model, their output and status."""

import json

import httpx
import pytest
from typer.testing import CliRunner

from openk2.chat import ToolCall
from openk2.cli.main import app
from openk2.generation import ChatAnswer, EndpointError, ScriptedChat
from openk2.protocol import EngineBusyError
from openk2.server import create_app

TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "required": ["n"]}},
}
CALL = ToolCall("functions.add:0", "add", '{"n":3}')
ROW = {
    "messages": [
        {"role": "user", "content": "Add 3 [now]."},
        ChatAnswer(tool_calls=(CALL,)).message(),
        {"role": "tool", "tool_call_id": CALL.id, "name": "add", "content": '{"sum": 42}'},
        {"role": "assistant", "content": "The sum is 42."},
    ],
    "tools": [TOOL],
    "kinds": ["single", "answer"],
}


@pytest.fixture
def url(run_app):
    """A server whose model only ever says "No.", whatever it is asked."""
    with run_app(create_app(ScriptedChat(["No."] * 200), model="no-model")) as address:
        yield address


@pytest.fixture
def rows(tmp_path):
    def write(*conversations):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in conversations))
        return str(path)

    return write


def evaluate(*arguments, **environment):
    runner = CliRunner(env={"OPENK2_API_KEY": None, "COLUMNS": "160", **environment})
    return runner.invoke(app, ["eval", *arguments])


def test_tools_of_a_server_print_measures_kinds_and_the_worst_turns(url, rows):
    done = evaluate("tools", rows(ROW), "--url", url, "--model", "no-model")
    assert done.exit_code == 0, done.output
    for said in ("trigger F1", "no call when none is needed", "single", "Add 3 [now].", "no call"):
        assert said in done.stdout


def test_a_drawn_part_of_the_turns_says_of_how_many(url, rows):
    asked = ["tools", rows(ROW, ROW), "--url", url, "--limit", "3"]
    assert "rows.jsonl, 3 of 4 turns" in " ".join(evaluate(*asked, COLUMNS="300").stdout.split())
    report = json.loads(evaluate(*asked, "--json").stdout)
    assert (report["turns"], report["turns_in_all"]) == (3, 4)
    assert " of 4 turns" not in evaluate(*asked[:-1], "4", COLUMNS="300").stdout


@pytest.mark.parametrize("measure", [["tools"], ["everyday"], ["weather", "--runs", "1"]])
def test_what_a_server_says_commands_no_terminal(run_app, rows, measure):
    hostile = ChatAnswer("\x1b[2J\u202e", (ToolCall("x", "add", '{"n":"\x1b]0;t\x07"}'),))
    row = [rows(ROW)] if measure == ["tools"] else []
    with run_app(create_app(ScriptedChat([hostile] * 100), model="no-model")) as url:
        done = evaluate(*measure, *row, "--url", url)
    assert done.exit_code == 0
    assert "u001b" in done.stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)


def test_an_error_about_a_file_commands_no_terminal(url, tmp_path):
    file = tmp_path / "\x1b]0;t\x07.jsonl"
    file.write_text("{}")
    done = evaluate("tools", str(file), "--url", url)
    assert done.exit_code == 1
    assert "u001b" in done.stderr
    assert not {"\x1b", "\x07"} & set(done.stderr)


def test_tools_as_json_hold_every_share_with_its_interval(url, rows):
    report = json.loads(evaluate("tools", rows(ROW, ROW), "--url", url, "--json").stdout)
    assert (report["turns"], report["conversations"], report["exact_share"]) == (4, 2, 0)
    assert report["intervals"]["exact_share"]["high"] > 0.5
    assert report["kinds"]["answer"]["told_share"]["whole"] == 2
    assert report["misses"][0]["fault"] == "no call"


@pytest.mark.parametrize("measure", [["tools", "--limit", "2"], ["weather"], ["everyday"]])
def test_every_measure_sends_the_output_cap_it_is_given(run_app, measure):
    chat = ScriptedChat(["No."] * 100)
    with run_app(create_app(chat, model="no-model")) as url:
        assert evaluate(*measure, "--url", url, "--max-tokens", "77").exit_code == 0
    assert {request.max_tokens for request in chat.requests} == {77}


def test_generated_conversations_are_the_default(url):
    report = json.loads(evaluate("tools", "--url", url, "--limit", "30", "--json").stdout)
    assert report["turns"] == 30
    assert report["trigger_f1"] == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "kinds": ["single"]}, "one kind for each of the 2"),
        ({**ROW, "kinds": ["single", "reply"]}, "'reply' is none of"),
        ({"messages": "no list"}, "no list field 'messages'"),
        ({"messages": ROW["messages"][:1]}, "no assistant turn to ask for"),
    ],
)
def test_a_row_that_cannot_be_scored_is_one_line(url, rows, row, said):
    done = evaluate("tools", rows(row), "--url", url)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_that_the_server_does_not_have_is_one_line(url, rows):
    done = evaluate("tools", rows(ROW), "--url", url, "--model", "another")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "another" in done.stderr


def test_everyday_needs_as_many_as_it_is_told_to(url):
    done = evaluate("everyday", "--url", url, "--need", "1")
    assert done.exit_code == 1
    assert "0 of 20 answers are sensible" in done.stdout
    assert evaluate("everyday", "--url", url).exit_code == 0
    report = json.loads(evaluate("everyday", "--url", url, "--json").stdout)
    assert (report["questions"], report["sensible"]) == (20, 0)
    assert report["answers"][0]["answer"] == "No."


def test_variations_of_the_weather_loop_are_listed_one_by_one(url):
    done = evaluate("weather", "--variations", "--runs", "2", "--url", url, "--need", "1")
    assert done.exit_code == 1
    assert "0 of 20 runs of 10 variations succeeded" in done.stdout
    report = json.loads(
        evaluate("weather", "--variations", "--runs", "1", "--url", url, "--json").stdout
    )
    assert len(report["variations"]) == 10
    assert "No." in report["variations"]["two cities at once"]["failures"][0]


def test_the_readmes_loop_is_what_weather_runs_by_default(url):
    done = evaluate("weather", "--runs", "3", "--url", url, "--json")
    assert json.loads(done.stdout)["succeeded"] == 0
    assert json.loads(done.stdout)["runs"] == 3


class BusyOnce(ScriptedChat):
    """Says "No.", but is busy at the requests of these numbers."""

    def __init__(self, *busy):
        super().__init__(["No."] * 100)
        self.busy, self.asked = busy, 0

    async def stream(self, request):
        self.asked += 1
        if self.asked in self.busy:
            raise EngineBusyError("full")
        async for event in super().stream(request):
            yield event


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr("openk2.eval.retrying.WAITS", (0,) * 4)
    monkeypatch.setattr("openk2.eval.retrying.LONGEST_WAIT", 0)


def test_a_busy_answer_costs_nothing_and_one_that_never_comes_is_told(run_app, no_waiting):
    for busy, errors in (((1, 3, 4), 0), ((1, 2, 3, 4, 5), 1)):
        with run_app(create_app(BusyOnce(*busy), model="no-model")) as url:
            asked = ["tools", "--url", url, "--limit", "4", "--concurrency", "1", "--json"]
            done = evaluate(*asked)
        report = json.loads(done.stdout)
        status = 3 if errors else 0
        assert (done.exit_code, report["turns"], report["errors"]) == (status, 4 - errors, errors)
        assert ("1 requests got no answer, such as: " in done.stderr) == bool(errors)


OUTAGES = [
    (["tools", "--limit", "40"], "errors, no answer"),
    (["weather", "--runs", "20"], "more got no answer"),
    (["weather", "--variations", "--runs", "2"], "more got no answer"),
    (["everyday", "--need", "20"], "more got no answer"),
]


@pytest.mark.parametrize(("measure", "said"), OUTAGES)
def test_an_outage_prints_the_report_and_is_no_success(run_app, no_waiting, measure, said):
    with run_app(create_app(BusyOnce(*range(6, 2000)), model="no-model")) as url:
        done = evaluate(*measure, "--url", url)
    assert done.exit_code == 3
    assert said in done.stdout


def test_a_server_that_is_always_busy_or_not_there_is_one_line(run_app, no_waiting):
    with run_app(create_app(BusyOnce(*range(1, 2000)), model="no-model")) as url:
        for measure in (["tools", "--limit", "2"], ["weather", "--runs", "2"], ["everyday"]):
            done = evaluate(*measure, "--url", url)
            assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    gone = evaluate("everyday", "--url", "http://127.0.0.1:1", "--model", "m")
    assert (gone.exit_code, gone.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (httpx.ReadTimeout("slow"), 0),
        (httpx.RemoteProtocolError("cut"), 0),
        (httpx.ConnectError("refused"), 1),
        (httpx.InvalidURL("no port"), 1),
    ],
)
def test_a_busy_list_of_models_ends_no_run(url, rows, monkeypatch, cause, status):
    def listed(*_, **__):
        raise EndpointError("no list") from cause

    monkeypatch.setattr("openk2.cli.eval.served_models", listed)
    done = evaluate("tools", rows(ROW), "--url", url, "--model", "no-model")
    assert done.exit_code == status, done.output
