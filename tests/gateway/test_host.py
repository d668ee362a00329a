"""What each kind of host is sent, and how its kind is found out, kept and forgotten."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from openk2.config import RecipeError
from openk2.gateway import Upstream, host_kinds
from openk2.gateway import host_kind as host_kind_module
from openk2.gateway.host import Host
from openk2.gateway.refused_fields import FORGET_AFTER_SECONDS
from openk2.generation import ChatRequest, NamedTool, RequestError, ThinkingFields

MISSING = "thinking is enabled but reasoning_content is missing in assistant tool call message at"
CALL = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HI = {"role": "user", "content": "hi"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
HISTORY = [
    HI,
    {**CALLED, "reasoning_content": "hm"},
    {"role": "tool", "tool_call_id": "functions.f:0", "content": "4"},
    CALLED,
    {"role": "assistant", "content": "so"},
]


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def host(
    kind: str | None = None, url: str = "http://h:1", owner: str | None = None, **options: Any
) -> Host:
    upstream = Upstream(url, "k2")
    upstream.owner = owner
    return Host(upstream, kind, **options)


def sent(one: Host, **fields: Any) -> tuple[list[Mapping[str, Any]], dict[str, Any]]:
    request, extra = one.fitted(ChatRequest(HISTORY, **fields), one.form)
    return list(request.messages), extra


def thoughts(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [message.get("reasoning_content") for message in messages]


@pytest.mark.parametrize(
    ("url", "owner", "kind"),
    [
        ("https://api.moonshot.ai/v1", None, "moonshot"),
        ("https://api.moonshot.ai.evil.example/v1", None, "unknown"),
        ("https://api.fireworks.ai/inference/v1", None, "fireworks"),
        ("http://gpu1:8000", "vllm", "vllm"),
        ("http://gpu1:8000", "sglang", "sglang"),
        ("http://gpu1:8000", "openk2", "openk2"),
        ("http://gpu1:8000", None, "unknown"),
    ],
)
def test_a_kind_is_found_by_address_or_model_card(url, owner, kind) -> None:
    assert host(None, url, owner).kind_name == kind
    assert host("sglang", url, owner).kind_name == "sglang"


@pytest.mark.parametrize("kind", sorted(host_kinds()))
def test_only_who_demands_thoughts_gets_a_placeholder_and_a_clients_own_stays(kind) -> None:
    one = host(kind)
    placeholder = host_kinds()[kind].placeholder or None
    messages, _ = sent(one)
    assert thoughts(messages) == [None, "hm", None, placeholder, None]
    assert one.counts["reasoning_placeholder"] == (placeholder is not None)
    assert thoughts(sent(host(kind, repairs=False))[0]) == [None, "hm", None, None, None]


def test_who_does_not_think_needs_no_placeholder() -> None:
    off = ThinkingFields({"type": "disabled"})
    assert thoughts(sent(host("moonshot"), thinking=off)[0]) == [None, "hm", None, None, None]


def test_an_error_shows_the_kind_which_is_logged_and_forgotten_after_a_while(caplog) -> None:
    caplog.set_level(logging.WARNING)
    clock = Clock()
    one = host(clock=clock)
    assert thoughts(sent(one)[0])[3] is None
    assert one.learn(f"the upstream answered 400: {MISSING} index 3")
    assert thoughts(sent(one)[0])[3] == " "
    assert not one.learn(f"{MISSING} index 3")  # it was obeyed already
    clock.now += FORGET_AFTER_SECONDS - 1
    assert thoughts(sent(one)[0])[3] == " "
    assert not one.learn(f"{MISSING} index 3")  # which renews it
    clock.now += FORGET_AFTER_SECONDS - 1
    assert thoughts(sent(one)[0])[3] == " "
    clock.now += 2
    assert thoughts(sent(one)[0])[3] is None
    kinds = [record.getMessage().split()[-1] for record in caplog.records]
    assert kinds == ["moonshot", "unknown"]


def test_a_request_has_the_form_that_it_was_given_whatever_is_learned_meanwhile() -> None:
    one = host()
    form = one.form
    assert one.learn(f"{MISSING} index 3")
    assert one.learn("unknown field: reasoning_content")
    request, _ = one.fitted(ChatRequest(HISTORY), form)
    assert thoughts(request.messages) == [None, "hm", None, None, None]
    assert one.form != form


def test_other_errors_teach_nothing_and_a_configured_kind_stays() -> None:
    one = host()
    for error in ("temperature is too high", "", "reasoning_content is nice", "model not found"):
        assert not one.learn(error)
    assert one.kind_name == "unknown"
    one = host("vllm")
    assert not one.learn(f"{MISSING} index 3")
    assert one.kind_name == "vllm"
    assert thoughts(sent(one)[0]) == [None, "hm", None, None, None]


def test_a_field_that_a_strict_host_does_not_know_is_left_out_for_a_while() -> None:
    one = host("vllm")
    error = "Extra inputs are not permitted, field: 'messages[1].reasoning_content'"
    assert one.learn(error)
    assert thoughts(sent(one)[0]) == [None] * 5
    assert not one.learn(error)  # it was not sent, so it is not the reason
    one.upstream.refused._until = {"reasoning_content": 0.0}
    assert thoughts(sent(one)[0]) == [None, "hm", None, None, None]
    one = host("moonshot")
    assert one.learn("unknown field thinking")
    assert sent(one, thinking=ThinkingFields({"type": "enabled"}))[1] == {}


ON, OFF = {"type": "enabled"}, {"type": "disabled"}
KEEP, DROP = {"preserve_thinking": True}, {"preserve_thinking": False}


@pytest.mark.parametrize(
    ("kind", "fields", "body"),
    [
        ("moonshot", ThinkingFields(), {}),
        ("moonshot", ThinkingFields(ON), {"thinking": {"type": "enabled"}}),
        ("moonshot", ThinkingFields({**ON, "keep": "all"}),
         {"thinking": {"type": "enabled", "keep": "all"}}),
        ("moonshot", ThinkingFields(OFF), {"thinking": {"type": "disabled"}}),
        ("moonshot", ThinkingFields(reasoning_effort="none"), {"thinking": {"type": "disabled"}}),
        ("moonshot", ThinkingFields(reasoning_effort="high"), {"thinking": {"type": "enabled"}}),
        ("vllm", ThinkingFields(), {}),
        ("vllm", ThinkingFields(OFF), {"chat_template_kwargs": {"thinking": False}}),
        ("sglang", ThinkingFields(template=KEEP), {"chat_template_kwargs": KEEP}),
        ("moonshot", ThinkingFields(template=DROP), {}),
        ("fireworks", ThinkingFields(template=DROP), {}),
        ("vllm", ThinkingFields(template=DROP), {"chat_template_kwargs": DROP}),
        ("moonshot", ThinkingFields(uncleared="all"), {}),
        ("fireworks", ThinkingFields(uncleared="all"), {}),
        ("moonshot", ThinkingFields({**OFF, "budget_tokens": 9}), {"thinking": OFF}),
        ("moonshot", ThinkingFields({**ON, "budget_tokens": 9}, unasked=True),
         {"thinking": ON}),
        ("openk2", ThinkingFields({**ON, "budget_tokens": 9}),
         {"thinking": {**ON, "budget_tokens": 9}}),
        ("openk2", ThinkingFields({**ON, "budget_tokens": 9}, unasked=True),
         {"thinking": {**ON, "budget_tokens": 9}}),
        ("openk2", ThinkingFields({**OFF, "budget_tokens": 9}), {"thinking": OFF}),
        ("fireworks", ThinkingFields(ON), {}),
        ("fireworks", ThinkingFields(OFF), {"reasoning_effort": "none"}),
        ("fireworks", ThinkingFields(ON, "high"), {"reasoning_effort": "high"}),
    ],
)  # fmt: skip
def test_thinking_is_switched_in_the_hosts_own_way(kind, fields, body) -> None:
    assert sent(host(kind), thinking=fields)[1] == body


@pytest.mark.parametrize("kind", sorted(host_kinds()))
def test_usage_is_asked_for_with_every_chunk_where_a_stop_string_may_cut_the_last_one(kind) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    wanted = {"stream_options": options} if kind in ("vllm", "sglang") else {}
    assert sent(host(kind), stop=("x",))[1] == wanted
    assert sent(host(kind))[1] == {}


BEGUN = [HI, {"role": "assistant", "content": "{", "name": "k"}]


@pytest.mark.parametrize(
    ("kind", "message", "body"),
    [
        ("moonshot", {"partial": True}, {}),
        ("openk2", {"partial": True}, {}),
        ("vllm", {}, {"continue_final_message": True, "add_generation_prompt": False}),
        ("sglang", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
def test_a_begun_answer_is_continued_in_the_hosts_own_way(kind, message, body) -> None:
    one = host(kind)
    request, fields = one.fitted(ChatRequest(BEGUN, is_continued=True), one.form)
    assert (request.messages, fields) == ([HI, {**BEGUN[1], **message}], body)
    request, fields = one.fitted(ChatRequest(BEGUN), one.form)
    assert (request.messages, fields) == (BEGUN, {})


@pytest.mark.parametrize(
    ("kind", "why", "logged"),
    [("fireworks", "begins a new turn", 0), ("unknown", "is not known to continue an answer", 1)],
)
def test_a_host_that_would_begin_a_new_turn_is_not_asked_to_continue_one(
    kind, why, logged, caplog
) -> None:
    one = host(kind)
    for _ in range(2):
        with pytest.raises(RequestError, match=rf"messages\[1\] cannot be .* {why};") as caught:
            one.fitted(ChatRequest(BEGUN, is_continued=True), one.form)
        assert caught.value.param == "messages[1]"
    assert caplog.text.count("--host-kind (moonshot, openk2, sglang, vllm)") == logged


@pytest.mark.parametrize("kind", sorted(host_kinds().keys() - {"openk2"}))
def test_a_budget_that_nothing_can_enforce_is_refused_unless_it_is_a_hint(kind) -> None:
    budget = {**ON, "budget_tokens": 9}
    with pytest.raises(RequestError, match="budget_tokens cannot be enforced here") as caught:
        sent(host(kind), thinking=ThinkingFields(budget))
    assert caught.value.param == "thinking.budget_tokens"
    assert sent(host(kind), thinking=ThinkingFields(budget, unasked=True))


def test_a_budget_is_no_longer_sent_to_a_host_that_could_not_enforce_it() -> None:
    one, budget = host("openk2"), {**ON, "budget_tokens": 9}
    assert one.learn("the upstream answered 400: thinking.budget_tokens cannot be enforced here")
    assert sent(one, thinking=ThinkingFields(budget, unasked=True))[1] == {"thinking": ON}
    with pytest.raises(RequestError, match="thinking_token_budget cannot be enforced") as caught:
        sent(one, thinking=ThinkingFields(budget, budget_name="thinking_token_budget"))
    assert caught.value.param == "thinking_token_budget"


TURNS = [*HISTORY[:3], {**HISTORY[4], "reasoning_content": "b"}, HI,
         {**CALLED, "reasoning_content": "c"}, HISTORY[2]]  # fmt: skip
EARLIER_DROPPED = [None, None, None, None, None, "c", None]


@pytest.mark.parametrize("kind", sorted(host_kinds()))
@pytest.mark.parametrize("asked", [{"uncleared": 1}, {"template": DROP}])
def test_thoughts_of_earlier_turns_that_are_cleared_are_not_sent(kind, asked) -> None:
    one, thinking = host(kind), ThinkingFields(ON, **asked)
    messages = one.fitted(ChatRequest(TURNS, thinking=thinking), one.form)[0].messages
    demanded = host_kinds()[kind].placeholder or None
    assert thoughts(messages) == [None, demanded, *EARLIER_DROPPED[2:]]
    begun = [*TURNS, {"role": "assistant", "content": "d", "reasoning_content": "d"}]
    one = host("vllm")
    request = ChatRequest(begun, thinking=thinking, is_continued=True)
    assert thoughts(one.fitted(request, one.form)[0].messages) == [*EARLIER_DROPPED, "d"]
    kept = one.fitted(ChatRequest(TURNS, thinking=ThinkingFields(ON)), one.form)[0].messages
    assert thoughts(kept) == thoughts(TURNS)


@pytest.mark.parametrize(
    ("kind", "fields", "name"),
    [
        ("fireworks", ThinkingFields({**ON, "keep": "all"}), "thinking.keep"),
        ("fireworks", ThinkingFields(template=KEEP), "chat_template_kwargs.preserve_thinking"),
        ("moonshot", ThinkingFields(ON, uncleared=2), "context_management"),
        ("vllm", ThinkingFields({**ON, "keep": "all"}, uncleared=1), "context_management"),
    ],
)
def test_what_a_host_cannot_do_with_thoughts_is_refused_by_name(kind, fields, name) -> None:
    with pytest.raises(RequestError, match=name) as caught:
        sent(host(kind), thinking=fields)
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("kind", "field", "fields", "name"),
    [
        ("moonshot", "thinking", ThinkingFields(OFF), "thinking"),
        ("moonshot", "thinking", ThinkingFields(reasoning_effort="none"), "reasoning_effort"),
        ("moonshot", "thinking", ThinkingFields({**ON, "keep": "all"}), "thinking.keep"),
        ("openk2", "thinking", ThinkingFields(OFF), "thinking"),
        ("vllm", "chat_template_kwargs", ThinkingFields(OFF), "thinking"),
        ("vllm", "chat_template_kwargs", ThinkingFields(template=KEEP),
         "chat_template_kwargs.preserve_thinking"),
    ],
)  # fmt: skip
def test_what_only_a_refused_field_could_tell_the_host_is_refused(
    kind, field, fields, name
) -> None:
    one = host(kind)
    assert one.learn(f"unknown field {field}")
    with pytest.raises(RequestError, match="this upstream has no field for it") as caught:
        sent(one, thinking=fields)
    assert caught.value.param == name
    with pytest.raises(RequestError, match="budget_tokens cannot be enforced"):
        sent(one, thinking=ThinkingFields({**ON, "budget_tokens": 9}))
    for harmless in (
        ThinkingFields(ON), ThinkingFields(template=DROP), ThinkingFields(OFF, unasked=True),
    ):  # fmt: skip
        assert sent(one, thinking=harmless)[1] == {}


def test_nothing_is_said_of_a_model_that_is_not_known_here() -> None:
    with pytest.raises(RequestError, match="only the thoughts of 1 turn or of all can be kept"):
        sent(host("vllm"), thinking=ThinkingFields(ON, uncleared=2))


def test_what_contradicts_itself_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="reasoning_effort contradicts thinking"):
        sent(host("moonshot"), thinking=ThinkingFields(ON, "none"))


def declared(count: int) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": f"t{n}"}} for n in range(count)]


def called(*names: str) -> list[dict[str, Any]]:
    calls = [{**CALL, "function": {"name": name, "arguments": "{}"}} for name in names]
    return [HI, {"role": "assistant", "content": "", "tool_calls": calls}]


def names_of(request: ChatRequest) -> list[str]:
    return [tool["function"]["name"] for tool in request.tools]


@pytest.mark.parametrize("kind", sorted(host_kinds()))
def test_no_host_gets_more_tools_than_it_takes(kind) -> None:
    most = host_kinds()[kind].most_tools
    for count in (0, 1, 128, 129, 400):
        one = host(kind)
        request, _ = one.fitted(ChatRequest([HI], declared(count)), one.form)
        assert len(request.tools) == (min(count, most) if most else count)
        assert one.counts["tools_left_out"] == count - len(request.tools)


def test_tools_that_are_needed_stay_and_in_their_order() -> None:
    request = ChatRequest(
        called("t300", "gone", "t299"), declared(400), tool_choice=NamedTool("t350")
    )
    one = host("moonshot")
    fitted, _ = one.fitted(request, one.form)
    assert names_of(fitted) == [f"t{n}" for n in (*range(125), 299, 300, 350)]
    kept, _ = host("moonshot", repairs=False).fitted(request, one.form)
    assert len(kept.tools) == 400


def test_of_more_tools_than_fit_the_latest_called_stay() -> None:
    messages = [message for n in range(200) for message in called(f"t{n}")]
    one = host("moonshot")
    fitted, _ = one.fitted(ChatRequest(messages, declared(400)), one.form)
    assert names_of(fitted) == [f"t{n}" for n in range(72, 200)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("most_tools = 128", "most_tools = -1"), "most_tools is -1"),
        (('placeholder = " "', 'placeholder = ""'), "needs a placeholder"),
        (("most_tools", "most_tolls"), "did you mean"),
    ],
)
def test_a_wrong_file_of_a_kind_is_refused(tmp_path, monkeypatch, change, words) -> None:
    text = (host_kind_module.FOLDER / "moonshot.toml").read_text()
    (tmp_path / "moonshot.toml").write_text(text.replace(*change))
    monkeypatch.setattr(host_kind_module, "FOLDER", tmp_path)
    with pytest.raises(RecipeError, match=words):
        host_kinds.__wrapped__()
