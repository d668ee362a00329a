"""What is no fault of an endpoint is not called one: it warns, or nothing can be judged."""

from itertools import count

import pytest

from openk2.verify import CHECKS
from verify.checks.faults.planting import deltas


@pytest.fixture
def status_of(checked, make_fault):
    """The statuses of some checks on an endpoint that differs from ours, by name."""

    def check(names, **planted):
        checks = [one for one in CHECKS if one.name in names]
        results = checked(make_fault(**planted), checks).results
        return {result.name: result.outcome.status for result in results}

    return check


def test_no_usage_in_choices_is_a_warning(status_of):
    def stream(asked, chunks):
        for chunk in chunks:
            for choice in chunk["choices"]:
                choice.pop("usage", None)

    assert status_of(["usage"], stream=stream) == {"usage": "warn"}


def test_without_usage_prompts_cannot_be_sized(status_of):
    def whole(asked, answer):
        del answer["usage"]

    names = [check.name for check in CHECKS if check.name.startswith("template-")]
    found = status_of([*names, "injection"], whole=whole)
    assert set(found.values()) == {"skip"}


def test_answers_that_never_repeat_are_not_compared(status_of):
    number = count()

    def whole(asked, answer):
        if "stop" not in asked:
            answer["choices"][0]["message"]["content"] = f"answer {next(number)}"

    found = status_of(["stream-equals-whole", "stop-strings"], whole=whole)
    assert found == {"stream-equals-whole": "skip", "stop-strings": "pass"}


def test_a_model_that_writes_half_a_character_is_no_fault(status_of):
    def whole(asked, answer):
        answer["choices"][0]["message"]["content"] = "half \ufffd"

    def stream(asked, chunks):
        next(iter(deltas(chunks)))["content"] = "half \ufffd"

    assert status_of(["unicode"], whole=whole, stream=stream) == {"unicode": "pass"}


@pytest.mark.parametrize("status", [404, 405])
def test_an_endpoint_without_messages_is_no_worse(status_of, status):
    def other(asked, answer):
        return (status, "application/json", b"{}")

    assert status_of(["anthropic-stream"], other=other) == {"anthropic-stream": "skip"}


def test_a_context_that_holds_every_prompt_cannot_overflow(status_of):
    def ask(asked):
        body = b'{"choices": [{"message": {"content": ""}}], "usage": {"prompt_tokens": 300010}}'
        return 200, "application/json", body

    assert status_of(["context-overflow"], ask=ask) == {"context-overflow": "skip"}


def test_no_calls_leave_no_arguments_to_judge(status_of):
    def ask(asked):
        if isinstance(asked.get("tools"), list):
            return {**asked, "tool_choice": "none"}
        return asked

    found = status_of(["schema", "call-ids", "required"], ask=ask)
    assert found == {"schema": "skip", "call-ids": "skip", "required": "fail"}
