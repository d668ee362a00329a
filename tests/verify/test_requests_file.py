"""--requests: the vendor's format, and what is wrong in it."""

import json

import pytest

from openk2.verify import RequestsFileError, read_requests, requests_check

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
BODY = {
    "model": "another",
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "tools": [WEATHER],
    "tool_choice": "required",
    "temperature": 0,
    "max_tokens": 64,
    "stream": True,
}


@pytest.fixture
def written(tmp_path):
    def write(*lines):
        path = tmp_path / "asked.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def check_of(path):
    return [requests_check(path, read_requests(path))]


def test_each_line_is_sent_whole_and_streamed(written, checked, make_fault):
    sent = []

    def note(asked):
        sent.append(asked)
        return asked

    talk = {"messages": [{"role": "user", "content": "Hello!\u2028"}], "max_tokens": 8}
    path = written(json.dumps(BODY), "", json.dumps(talk, ensure_ascii=False))
    report = checked(make_fault(ask=note), check_of(path))
    [result] = report.results
    assert (result.outcome.status, result.outcome.figure) == ("pass", "4/4")
    assert result.outcome.measures["calls"] == result.outcome.measures["valid_calls"] == 2
    assert sorted(bool(asked.get("stream")) for asked in sent) == [False, False, True, True]
    assert {asked["model"] for asked in sent} == {"openk2-nano"}


def test_invalid_arguments_and_refusals_are_found(written, checked, make_fault):
    def wrong(asked, answer):
        [call] = answer["choices"][0]["message"]["tool_calls"]
        call["function"]["arguments"] = '{"city": 3}'

    path = written(json.dumps(BODY))
    [result] = checked(make_fault(whole=wrong), check_of(path)).results
    assert result.outcome.status == "fail"
    assert "asked.jsonl:1, whole: the arguments are not valid" in result.outcome.seen
    [result] = checked(make_fault(raw=lambda _: (500, "text/plain", b"oh")), check_of(path)).results
    assert result.outcome.faults[0].endswith("whole: a valid request got 500: 'oh'")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "asked.jsonl:1 is not JSON"),
        ("[]", "asked.jsonl:1 is no chat-completions body"),
        ('{"messages": [], "tools": [1]}', "asked.jsonl:1: tools must be"),
        ("", "holds no request"),
        (
            json.dumps(
                {
                    "messages": [],
                    "tools": [{"function": {"name": "f", "parameters": {"type": "word"}}}],
                }
            ),
            "parameters of f are no schema",
        ),
    ],
)
def test_a_bad_line_is_named(written, line, said):
    with pytest.raises(RequestsFileError, match=said):
        read_requests(written(line))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RequestsFileError, match=r"absent\.jsonl cannot be read"):
        read_requests(tmp_path / "absent.jsonl")
