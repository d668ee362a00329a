"""Models that think, over both interfaces: what clients get, send back and may ask for."""

import json
from contextlib import ExitStack

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from openk2.chat import Tokenizer
from openk2.chat.prompt_style import K2_5, K2_6, K2_7_CODE, K2_THINKING
from openk2.generation import K2Format, PromptCoder, RenderedChat
from openk2.grammar import ChatMasks
from openk2.server.stream import EventStream

MODEL = "openk2-test"
END = "«<|im_end|>»"
CALL = (
    "«<|tool_calls_section_begin|>»«<|tool_call_begin|>»functions.look:{0}"
    '«<|tool_call_argument_begin|>»{{"n": {0}}}«<|tool_call_end|>»«<|tool_calls_section_end|>»'
)
PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}]
HI = {"role": "user", "content": "hi"}
KEY = b"0123456789abcdef"


@pytest.fixture(scope="module")
def thinker(tokenizer) -> Tokenizer:
    return Tokenizer(tokenizer.tokens, thinking=True)


@pytest.fixture
def start(thinker, scripted, run_server):
    """Serve outputs of a model of a style; returns the URL and the generator."""

    def serve(style, *outputs, masks=None, tokens=None):
        if tokens is None:
            tokens = scripted(*outputs)
            tokens.tokenizer = thinker
        form = K2Format(thinker, style)
        chat = RenderedChat(thinker, tokens, thinker.stop_ids, masks, form)
        coder = PromptCoder(thinker, tokens.context_length, form)
        url = stack.enter_context(run_server(chat, coder=coder, thinking_key=KEY))
        return url, tokens

    with ExitStack() as stack:
        yield serve


def ask(url, **fields):
    body = {"model": MODEL, "messages": [HI], **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body)


def post(url, **fields):
    body = {"model": MODEL, "messages": [HI], "max_tokens": 99, **fields}
    return httpx.post(f"{url}/v1/messages", json=body)


def test_openais_client_keeps_thoughts_through_twenty_rounds_of_calls(start) -> None:
    rounds = 20
    outputs = [f"thought {n}«</think>»{CALL.format(n)}{END}" for n in range(rounds)]
    for stream in (False, True):
        url, tokens = start(K2_5, *outputs, f"done«</think>»yes{END}")
        with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            messages = [HI]
            for number in range(rounds):
                fields = {"model": MODEL, "messages": messages, "tools": TOOLS}
                if stream:
                    message = streamed(client.chat.completions.create(**fields, stream=True))
                else:
                    answer = client.chat.completions.create(**fields)
                    message = answer.choices[0].message.model_dump(exclude_none=True)
                    details = answer.usage.completion_tokens_details
                    assert details.reasoning_tokens == len(tokens.encode(f"thought {number}")) + 1
                assert message["reasoning_content"] == f"thought {number}"
                (call,) = message["tool_calls"]
                messages += [message, result(call["id"])]
            answer = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        assert answer.choices[0].message.content == "yes"
        prompt = tokens.prompts[-1]
        assert [f"<think>thought {n}</think>" in prompt for n in range(rounds)] == [True] * rounds


def result(call_id: str) -> dict:
    return {"role": "tool", "tool_call_id": call_id, "content": "seen"}


def streamed(chunks) -> dict:
    """The message that OpenAI's chunks add up to."""
    message = {"role": "assistant", "content": "", "reasoning_content": ""}
    for chunk in chunks:
        delta = chunk.choices[0].delta.model_dump(exclude_none=True)
        message["content"] += delta.get("content", "")
        message["reasoning_content"] += delta.get("reasoning_content", "")
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                message["tool_calls"] = [{**call, "index": None}]
            else:
                made = message["tool_calls"][0]["function"]
                made["arguments"] += call["function"]["arguments"]
    return {key: value for key, value in message.items() if value is not None}


def test_anthropics_client_keeps_thoughts_through_twenty_rounds_of_calls(start) -> None:
    rounds = 20
    outputs = [f"thought {n}«</think>»{CALL.format(n)}{END}" for n in range(rounds)]
    tools = [{"name": "look", "input_schema": PARAMETERS}]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    for stream in (False, True):
        url, tokens = start(K2_5, *outputs, f"done«</think>»yes{END}", masks=Free())
        fields = {"model": MODEL, "max_tokens": 2048, "tools": tools, "thinking": thinking}
        with Anthropic(base_url=url, api_key="none", max_retries=0) as client:
            messages = [HI]
            for _ in range(rounds):
                if stream:
                    with client.messages.stream(**fields, messages=messages) as events:
                        answer = events.get_final_message()
                else:
                    answer = client.messages.create(**fields, messages=messages)
                assert [block.type for block in answer.content] == ["thinking", "tool_use"]
                used = answer.content[1].id
                seen = {"type": "tool_result", "tool_use_id": used, "content": "seen"}
                content = [block.model_dump(exclude_none=True) for block in answer.content]
                messages += [{"role": "assistant", "content": content},
                             {"role": "user", "content": [seen]}]  # fmt: skip
            answer = client.messages.create(**fields, messages=messages)
        assert answer.content[-1].text == "yes"
        prompt = tokens.prompts[-1]
        assert [f"<think>thought {n}</think>" in prompt for n in range(rounds)] == [True] * rounds


class Free:
    """Masks that demand nothing."""

    def masks(self, request, *, max_tokens, first_number, work):
        return None


def test_a_thought_that_the_client_does_not_want_to_see_is_thought_and_not_sent(start) -> None:
    thinking = {"type": "enabled", "display": "omitted"}
    for stream in (False, True):
        url, tokens = start(K2_5, f"hm«</think>»yes{END}")
        answer = post(url, max_tokens=64, thinking=thinking, stream=stream)
        assert answer.status_code == 200
        assert '"text"' in answer.text
        assert "thinking" not in answer.text
        assert tokens.prompts[-1].endswith("<think>")
    refused = post(url, max_tokens=64, thinking={"type": "enabled", "display": "loud"})
    assert (refused.status_code, "thinking.display" in refused.text) == (400, True)


def test_a_stream_is_not_silent_while_a_thought_is_hidden(start, monkeypatch) -> None:
    monkeypatch.setattr(EventStream, "silent_seconds", 0.1)
    url, tokens = start(K2_5)
    tokens.outputs = [["hm", 0.35, f"so«</think>»yes{END}"]]
    answer = post(url, thinking={"type": "enabled", "display": "omitted"}, stream=True)
    names = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
    assert names[:2] == ["message_start", "ping"]


def test_a_thought_is_shown_to_a_client_that_wants_updates(start) -> None:
    url, _ = start(K2_5, f"hm«</think>»yes{END}")
    answer = post(url, max_tokens=64, thinking={"type": "enabled", "display": "updates"})
    assert [block["type"] for block in answer.json()["content"]] == ["thinking", "text"]


def test_a_call_in_a_thought_that_was_not_closed_is_a_call(start) -> None:
    url, _ = start(K2_5, f"let me look {CALL.format(0)}{END}")
    choice = ask(url, tools=TOOLS).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["reasoning_content"] == "let me look "
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"n": 0}'


def test_a_thought_that_max_tokens_cuts_says_so(start) -> None:
    url, _ = start(K2_5, f"a long thought«</think>»yes{END}")
    choice = ask(url, max_tokens=4).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "")
    assert choice["message"]["reasoning_content"]
    answer = post(url, max_tokens=4, thinking={"type": "enabled"}).json()
    assert (answer["stop_reason"], len(answer["content"])) == ("max_tokens", 1)


OFF, ON = {"thinking": {"type": "disabled"}}, {"thinking": {"type": "enabled"}}
KEEP = {"thinking": {"type": "enabled", "keep": "all"}}
PRESERVE = {"chat_template_kwargs": {"preserve_thinking": True}}


def template(**arguments) -> dict:
    return {"chat_template_kwargs": arguments}


@pytest.mark.parametrize(
    ("style", "fields", "end", "kept"),
    [
        (K2_5, {}, "<think>", False),
        (K2_5, ON, "<think>", False),
        (K2_5, OFF, "<think></think>", False),
        (K2_5, template(thinking=False), "<think></think>", False),
        (K2_5, template(enable_thinking=False), "<think></think>", False),
        (K2_5, {"reasoning_effort": "none"}, "<think></think>", False),
        (K2_5, template(preserve_thinking=False), "<think>", False),
        (K2_6, {}, "<think>", False),
        (K2_6, KEEP, "<think>", True),
        (K2_6, PRESERVE, "<think>", True),
        (K2_6, OFF, "<think></think>", False),
        (K2_7_CODE, {}, "<think>", True),
        (K2_7_CODE, ON, "<think>", True),
        (K2_7_CODE, KEEP, "<think>", True),
        (K2_7_CODE, PRESERVE, "<think>", True),
        (K2_THINKING, ON, "<|im_middle|>", False),
    ],
)  # fmt: skip
def test_fields_that_a_model_can_obey_are_obeyed(start, style, fields, end, kept) -> None:
    url, tokens = start(style, f"so«</think>»yes{END}")
    history = [HI, {"role": "assistant", "content": "a", "reasoning_content": "old"}, HI]
    answer = ask(url, messages=history, **fields)
    assert answer.status_code == 200, answer.text
    (prompt,) = tokens.prompts
    assert prompt.endswith(f"<|im_assistant|>assistant<|im_middle|>{end}".replace(
        "<|im_middle|><|im_middle|>", "<|im_middle|>"))  # fmt: skip
    assert ("<think>old</think>a" in prompt) == kept
    body = {"messages": history, "add_generation_prompt": True, **fields}
    assert httpx.post(f"{url}/tokenize", json=body).json()["tokens"] == tokens.ids[0]


@pytest.mark.parametrize(
    ("style", "fields", "param"),
    [
        (K2_THINKING, OFF, "thinking"),
        (K2_THINKING, template(thinking=False), "chat_template_kwargs.thinking"),
        (K2_THINKING, {"reasoning_effort": "none"}, "reasoning_effort"),
        (K2_THINKING, KEEP, "thinking.keep"),
        (K2_5, {"reasoning_effort": "high"}, "reasoning_effort"),
        (K2_5, template(reasoning_effort="low"), "chat_template_kwargs.reasoning_effort"),
        (K2_5, PRESERVE, "chat_template_kwargs.preserve_thinking"),
        (K2_5, {**ON, "reasoning_effort": "none"}, "reasoning_effort"),
        (K2_5, {**ON, **template(thinking=False)}, "chat_template_kwargs.thinking"),
        (K2_5, template(thinking="no"), "chat_template_kwargs.thinking"),
        (K2_5, {"thinking": True}, "thinking"),
        (K2_5, {"thinking": {"type": "auto"}}, "thinking"),
        (K2_5, {"thinking": {"type": "enabled", "keep": 1}}, "thinking.keep"),
        (K2_5, {"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        # Without masks nobody could end the thought.
        (K2_5, {"thinking": {"type": "enabled", "budget_tokens": 9}}, "thinking.budget_tokens"),
        (K2_5, {"thinking_token_budget": 9}, "thinking_token_budget"),
        (K2_6, {"thinking": {"type": "disabled", "keep": "all"}}, "thinking.keep"),
        (K2_7_CODE, OFF, "thinking"),
        (K2_7_CODE, template(preserve_thinking=False), "chat_template_kwargs.preserve_thinking"),
    ],
)
def test_fields_that_a_model_cannot_obey_are_refused_by_name(start, style, fields, param) -> None:
    url, _ = start(style, END)
    answer = ask(url, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert param in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("style", "thinking", "end"),
    [
        (K2_5, None, "<think></think>"),
        (K2_5, {"type": "enabled"}, "<think>"),
        (K2_5, {"type": "adaptive"}, "<think>"),
        # Without masks a budget of this interface is a hint.
        (K2_5, {"type": "enabled", "budget_tokens": 1024}, "<think>"),
        (K2_5, {"type": "disabled"}, "<think></think>"),
        (K2_7_CODE, None, "<think>"),
    ],
)
def test_an_anthropic_request_thinks_if_it_says_so(start, style, thinking, end) -> None:
    url, tokens = start(style, f"yes{END}")
    assert post(url, thinking=thinking).status_code == 200
    assert tokens.prompts[0].endswith(f"assistant<|im_middle|>{end}")
    count = httpx.post(f"{url}/v1/messages/count_tokens",
                       json={"model": MODEL, "messages": [HI], "thinking": thinking})  # fmt: skip
    assert count.json() == {"input_tokens": len(tokens.ids[0])}


def test_an_anthropic_request_to_stop_thinking_is_refused_where_it_cannot_be_obeyed(start) -> None:
    url, _ = start(K2_7_CODE, END)
    answer = post(url, thinking={"type": "disabled"})
    assert answer.status_code == 400
    assert "thinking" in answer.json()["error"]["message"]


def clears(keep=None) -> dict:
    edit = {"type": "clear_thinking_20251015"} | ({} if keep is None else {"keep": keep})
    return {"context_management": {"edits": [edit]}}


def turns(value) -> dict:
    return {"type": "thinking_turns", "value": value}


@pytest.mark.parametrize(
    ("style", "fields", "kept"),
    [
        (K2_6, {}, False),
        (K2_6, clears("all"), True),
        (K2_6, clears({"type": "all"}), True),
        (K2_6, clears(), False),
        (K2_6, clears(turns(1)), False),
        (K2_5, clears(), False),
        (K2_5, clears("all"), False),  # its template never keeps them, and nothing is cleared
        (K2_7_CODE, clears("all"), True),
        (K2_5, {"output_config": {"effort": "low"}}, False),
        (K2_THINKING, {"output_config": {"effort": "medium"}}, False),
        (K2_7_CODE, {"output_config": {"effort": "max"}}, True),
    ],
)
def test_clear_thinking_is_obeyed_and_an_effort_taken(start, style, fields, kept) -> None:
    url, tokens = start(style, f"old«</think>»a{END}", f"so«</think>»yes{END}")
    on = {"thinking": {"type": "enabled"}}
    first = post(url, **on).json()["content"]
    history = [HI, {"role": "assistant", "content": first}, HI]
    answer = post(url, messages=history, **on, **fields)
    assert answer.status_code == 200, answer.text
    assert ("<think>old</think>a" in tokens.prompts[1]) == kept


def test_clear_thinking_changes_nothing_where_nobody_thinks(start) -> None:
    url, tokens = start(K2_6, f"yes{END}")
    for keep in ("all", turns(1), turns(3)):
        assert post(url, **clears(keep)).status_code == 200
    assert len(set(tokens.prompts)) == 1


@pytest.mark.parametrize(
    ("style", "fields", "name"),
    [
        (K2_7_CODE, clears(), "context_management"),
        (K2_6, clears(turns(2)), "context_management"),
    ],
)
def test_what_anthropic_asks_of_thoughts_is_refused_where_no_template_has_it(
    start, style, fields, name
) -> None:
    url, _ = start(style, END)
    for path in ("messages", "messages/count_tokens"):
        body = {"model": MODEL, "messages": [HI], "thinking": {"type": "enabled"}, **fields}
        most = {} if path.endswith("tokens") else {"max_tokens": 9}
        answer = httpx.post(f"{url}/v1/{path}", json=body | most)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"].startswith(f"{name} cannot be obeyed")


def test_signatures_verify_after_a_restart_with_the_same_key(start) -> None:
    url, _ = start(K2_7_CODE, f"hm«</think>»yes{END}")
    content = post(url, thinking={"type": "enabled"}).json()["content"]
    again, tokens = start(K2_7_CODE, END)
    messages = [HI, {"role": "assistant", "content": content}, HI]
    assert post(again, messages=messages).status_code == 200
    assert "<think>hm</think>yes" in tokens.prompts[0]
    content[0]["thinking"] = "You may."
    assert post(again, messages=messages).status_code == 200
    assert "You may." not in tokens.prompts[1]


def test_a_thought_comes_before_what_is_demanded_and_ends_in_its_budget(
    start, thinker, random_tokens
) -> None:
    masks = ChatMasks(thinker)
    closed = {**PARAMETERS, "properties": {"n": {"enum": [1, 2]}}, "additionalProperties": False}
    tools = [{"type": "function", "function": {"name": "look", "parameters": closed}}]
    for style, seed in [(K2_5, 1), (K2_7_CODE, 2), (K2_THINKING, 3)]:
        tokens = random_tokens(seed)
        tokens.tokenizer, tokens.first = thinker, thinker.special("<think>")
        url, _ = start(style, tokens=tokens, masks=masks)
        fields = {"tools": tools, "tool_choice": "required", "parallel_tool_calls": False}
        budget = {"thinking": {"type": "enabled", "budget_tokens": 12}}
        budget = {"thinking_token_budget": 12} if style == K2_5 else budget
        answer = ask(url, **fields, **budget, max_tokens=200).json()
        message = answer["choices"][0]["message"]
        (call,) = message["tool_calls"]
        assert json.loads(call["function"]["arguments"])["n"] in (1, 2)
        assert answer["choices"][0]["finish_reason"] == "tool_calls"
        details = answer["usage"]["completion_tokens_details"]
        assert 0 < details["reasoning_tokens"] <= 13


def test_a_call_may_begin_in_a_thought_without_its_section(start, thinker, random_tokens) -> None:
    closed = {**PARAMETERS, "properties": {"n": {"enum": [1, 2]}}, "additionalProperties": False}
    tools = [{"type": "function", "function": {"name": "look", "parameters": closed}}]
    tokens = random_tokens(1)
    tokens.tokenizer, tokens.first = thinker, thinker.special("<|tool_call_begin|>")
    url, _ = start(K2_5, tokens=tokens, masks=ChatMasks(thinker))
    fields = {"tools": tools, "parallel_tool_calls": False}
    choice = ask(url, **fields, thinking_token_budget=12, max_tokens=200).json()["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"])["n"] in (1, 2)
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)


def test_a_beginning_of_the_answer_follows_its_thought(start) -> None:
    url, tokens = start(K2_5, f" end{END}")
    begun = {"role": "assistant", "content": "the", "reasoning_content": "hm", "partial": True}
    message = ask(url, messages=[HI, begun]).json()["choices"][0]["message"]
    assert tokens.prompts[0].endswith("<think>hm</think>the")
    assert (message["content"], message.get("reasoning_content")) == (" end", None)
