"""Anthropic Messages as the official client sees them, sync and async."""

import asyncio
import json
import re

import anthropic as sdk
import httpx
import pytest
from anthropic import AsyncAnthropic

from openk2.protocol import SamplingParams
from openk2.server.thoughts import ThoughtSigner

MODEL = "openk2-test"
MESSAGES = [{"role": "user", "content": "hi"}]
OBJECT = {"type": "object"}
TOOLS = [{"name": name, "input_schema": OBJECT} for name in ("get_weather", "get-time")]
END = "«<|im_end|>»"


def section(*calls: tuple[str, str]) -> str:
    written = "".join(
        f"«<|tool_call_begin|>»{call_id}«<|tool_call_argument_begin|>»{arguments}«<|tool_call_end|>»"
        for call_id, arguments in calls
    )
    return f"«<|tool_calls_section_begin|>»{written}«<|tool_calls_section_end|>»"


BEIJING = ("functions.get_weather:0", '{"city":"北京\u2028"}')
CALLS = section(BEIJING, ("functions.get-time:1", "{}"))
TWO_CALLS = f"Let me see. {CALLS}{END}"


def body(**fields) -> dict:
    return {"model": MODEL, "max_tokens": 500, "messages": MESSAGES, **fields}


def post(url: str, path: str = "", **fields) -> httpx.Response:
    content = json.dumps(body(**fields)).encode()
    headers = {"Content-Type": "application/json"}
    return httpx.post(f"{url}/v1/messages{path}", content=content, headers=headers, verify=False)


def shown(message) -> list[dict]:
    return [
        {name: value for name, value in block.to_dict().items() if value is not None}
        for block in message.content
    ]


def test_a_whole_answer_has_anthropics_form(serve, scripted):
    tokens = scripted(f"Hello.{END}")
    tokens.cached_tokens = 5
    answer = post(serve(tokens)).json()
    assert re.fullmatch("msg_[0-9a-f]{32}", answer.pop("id"))
    assert answer == {
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": len(tokens.ids[0]) - 5,
            "output_tokens": len("Hello.") + 1,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 0,
        },
    }


def test_a_stream_tells_the_size_of_the_prompt_when_it_begins(anthropic, scripted):
    tokens = scripted(f"Hello.{END}")
    tokens.cached_tokens = 5
    with anthropic(tokens).messages.create(**body(), stream=True) as stream:
        first, *_, delta, _ = stream
    assert first.type == "message_start"
    prompt = len(tokens.ids[0])
    for usage in (first.message.usage, delta.usage):
        assert (usage.input_tokens, usage.cache_read_input_tokens) == (prompt - 5, 5)
    assert (first.message.usage.output_tokens, delta.usage.output_tokens) == (0, 7)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_streamed_message_joins_to_the_whole_one(anthropic, scripted, size):
    tokens = scripted(TWO_CALLS)
    tokens.size = size
    client = anthropic(tokens)
    whole = client.messages.create(**body(tools=TOOLS))
    with client.messages.stream(**body(tools=TOOLS)) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.model_dump(exclude={"id"}) == whole.model_dump(exclude={"id"})
    said, weather, time = whole.content
    assert said.text == text == "Let me see. "
    assert (weather.name, weather.input) == ("get_weather", {"city": "北京\u2028"})
    assert (time.name, time.input) == ("get-time", {})
    assert whole.stop_reason == "tool_use"
    assert len({weather.id, time.id}) == 2
    assert all(re.fullmatch("toolu_[a-zA-Z0-9_-]+", block.id) for block in (weather, time))


def test_async_clients_stream_at_the_same_time(serve, scripted):
    url = serve(scripted(["slow", 0.2, f" answer{END}"]))

    async def one(client):
        async with client.messages.stream(**body()) as stream:
            return "".join([text async for text in stream.text_stream])

    async def run():
        async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
            whole = await client.messages.create(**body())
            work = asyncio.gather(*(one(client) for _ in range(20)))
            return whole.content[0].text, await asyncio.wait_for(work, 3)

    assert asyncio.run(run()) == ("slow answer", ["slow answer"] * 20)


def test_the_clients_own_tool_runner_completes_a_loop(anthropic, scripted):
    tokens = scripted(f"{section(BEIJING)}{END}", f"It is 20 degrees.{END}")

    @sdk.beta_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"20 in {city}"

    runner = anthropic(tokens).beta.messages.tool_runner(**body(tools=[get_weather]))
    assert [message.stop_reason for message in runner] == ["tool_use", "end_turn"]
    assert tokens.prompts[1].endswith(
        "<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        '{"city": "北京\u2028"}<|tool_call_end|><|tool_calls_section_end|><|im_end|>'
        "<|im_system|>get_weather<|im_middle|>## Return of functions.get_weather:0\n"
        "20 in 北京\u2028<|im_end|><|im_assistant|>assistant<|im_middle|>"
    )


@pytest.mark.parametrize(
    ("output", "fields", "expected"),
    [
        (f"abc{END}", {}, ("end_turn", None)),
        ("abcdef", {"max_tokens": 3}, ("max_tokens", None)),
        (f"ab STOP c{END}", {"stop_sequences": ["x", "STOP"]}, ("stop_sequence", "STOP")),
        (TWO_CALLS, {"tools": TOOLS}, ("tool_use", None)),
        (f"{CALLS} STOP", {"tools": TOOLS, "stop_sequences": ["STOP"]}, ("tool_use", None)),
    ],
)
def test_the_stop_reason_says_what_ended_the_answer(anthropic, scripted, output, fields, expected):
    client = anthropic(scripted(output))
    whole = client.messages.create(**body(**fields))
    assert (whole.stop_reason, whole.stop_sequence) == expected
    with client.messages.stream(**body(**fields)) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == expected
    assert shown(final) == shown(whole)


def test_a_call_without_text_has_no_empty_text_beside_it(anthropic, scripted):
    answer = anthropic(scripted(f"{CALLS}{END}")).messages.create(**body(tools=TOOLS))
    assert [block.type for block in answer.content] == ["tool_use", "tool_use"]
    assert anthropic(scripted(END)).messages.create(**body()).content == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("[1]", {}), ("oops", {}), ('"x"', {}), ('{"a":1} and more', {"a": 1}), ("3", {}),
        ('{"a": NaN}', {}), ('{"a": 1e999}', {}), ('{"a": "\\ud800"}', {"a": "\ud800"}),
        ('{"a":' * 5000, {}), ('{"a": 1, "b": "cut of', {"a": 1}),
    ],
)  # fmt: skip
def test_arguments_that_are_no_object_still_make_an_input_object(
    serve, scripted, arguments, expected
):
    tokens = scripted(f"{section(('functions.get_weather:0', arguments))}{END}")
    tokens.context_length = 100_000
    answer = post(serve(tokens), tools=TOOLS, max_tokens=50_000)
    assert answer.status_code == 200, answer.text
    [block] = answer.json()["content"]
    assert block["input"] == expected


def test_a_call_cut_off_by_max_tokens_says_so_whole_and_streamed(anthropic, scripted):
    cut = "«<|tool_calls_section_begin|>»«<|tool_call_begin|>»functions.get_weather:0"
    cut += '«<|tool_call_argument_begin|>»{"a":1,"city":"Bei'
    client = anthropic(scripted(cut + "x" * 100))
    fields = body(tools=TOOLS, max_tokens=len("functions.get_weather:0") + 3 + 17)
    whole = client.messages.create(**fields)
    with client.messages.stream(**fields) as stream:
        final = stream.get_final_message()
    assert whole.stop_reason == final.stop_reason == "max_tokens"
    assert [block.input for block in whole.content] == [{"a": 1}]
    assert shown(final) == shown(whole)


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({}, {"temperature": 0.6}),
        ({"temperature": 1}, {"temperature": 0.6}),
        ({"temperature": 0.5}, {"temperature": 0.3}),
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"temperature": None, "top_p": 0.9, "top_k": 7},
         {"temperature": 0.6, "top_p": 0.9, "top_k": 7}),
    ],
)  # fmt: skip
def test_the_temperature_is_scaled_as_the_readme_says(serve, scripted, tokenizer, fields, settings):
    tokens = scripted(END)
    post(serve(tokens), **fields, max_tokens=9)
    stop_ids = tokenizer.stop_ids
    expected = SamplingParams(max_tokens=9, stop_token_ids=stop_ids, **settings)
    assert tokens.params == [expected]


TOLERATED = {
    "metadata": {"user_id": "u"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "high", "format": None},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "cache_control": {"type": "ephemeral"},
    "service_tier": "auto",
    "mcp_servers": [],
    "container": None,
    "stream": None,
    "top_k": None,
    "tools": None,
    "system": None,
    "a_field_of_some_client": [1],
}


def test_betas_versions_and_unknown_fields_are_tolerated(serve, scripted):
    url = serve(scripted(f"ok{END}"))
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1,b-2"}
    sent = {"headers": headers, "json": body(**TOLERATED), "verify": False}
    answer = httpx.post(f"{url}/v1/messages?beta=true", **sent)
    assert answer.status_code == 200, answer.text
    assert httpx.post(f"{url}/v1/messages/count_tokens?beta=true", **sent).status_code == 200


def test_aliases_answer_under_the_name_that_was_asked_for(anthropic, scripted):
    client = anthropic(scripted(f"ok{END}"), aliases=["claude-small"])
    fields = {**body(), "model": "claude-small"}
    assert client.messages.create(**fields).model == "claude-small"
    del fields["max_tokens"]
    assert client.messages.count_tokens(**fields).input_tokens > 0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"system": "Be brief."},
        {"system": [{"type": "text", "text": "x-anthropic-billing-header: a;"}], "tools": TOOLS},
        {"tools": TOOLS, "tool_choice": {"type": "none"}},
        {"messages": [*MESSAGES, {"role": "assistant", "content": "yes?"}, *MESSAGES]},
    ],
)
def test_counted_tokens_are_the_prompts_size(anthropic, scripted, fields):
    tokens = scripted(f"ok{END}")
    client = anthropic(tokens)
    asked = {"model": MODEL, "messages": MESSAGES, **fields}
    counted = client.messages.count_tokens(**asked).input_tokens
    usage = client.messages.create(**asked, max_tokens=5).usage
    assert counted == usage.input_tokens == len(tokens.ids[0])


def test_tokens_of_what_ends_with_the_assistant_are_those_it_adds(anthropic, scripted):
    client = anthropic(scripted(END))

    def count(*messages):
        asked = [{"role": role, "content": text} for role, text in messages]
        return client.messages.count_tokens(model=MODEL, messages=asked).input_tokens

    before, after = count(("user", "hi")), count(("user", "hi"), ("assistant", "yes"))
    assert after - before == len("yes") + 1


class Recorded:
    """Output masks that remember what was asked of them."""

    def __init__(self):
        self.requests = []

    def masks(self, request, *, max_tokens, first_number, work):
        self.requests.append(request)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ("auto", True)),
        ({"type": "auto"}, ("auto", True)),
        ({"type": "auto", "disable_parallel_tool_use": True}, ("auto", False)),
        ({"type": "any"}, ("required", True)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "tool", "name": "get-time"}, ("get-time", True)),
        ({"type": "none"}, ("none", True)),
    ],
)
def test_the_tool_choice_is_demanded_of_the_generator(serve, scripted, choice, expected):
    masks = Recorded()
    assert post(serve(scripted(END), masks), tools=TOOLS, tool_choice=choice).status_code == 200
    [request] = masks.requests
    name = getattr(request.tool_choice, "name", request.tool_choice)
    assert (name, request.parallel_tool_calls) == expected


def test_a_json_schema_is_demanded_of_the_generator(serve, scripted):
    recorded = Recorded()
    config = {"format": {"type": "json_schema", "schema": OBJECT}, "effort": "low"}
    assert post(serve(scripted(END), recorded), output_config=config).status_code == 200
    assert recorded.requests[0].response_format.schema == OBJECT


@pytest.mark.parametrize("wanted", [{"type": "enabled", "budget_tokens": 1024}, None])
def test_thoughts_are_shown_to_whom_asks_for_thinking(run_server, wanted):
    from openk2.chat import ContentDelta, ReasoningDelta
    from openk2.generation import ChatFinish

    class Thinker:
        async def stream(self, request):
            for event in (ReasoningDelta("h"), ReasoningDelta("m"), ContentDelta("yes")):
                yield event
            yield ChatFinish("stop", 3, 3)

    key = b"k" * 16
    with run_server(Thinker(), thinking_key=key) as url:
        content = post(url, thinking=wanted).json()["content"]
    signature = ThoughtSigner(key).sign("hm")
    thought = {"type": "thinking", "thinking": "hm", "signature": signature}
    text = {"type": "text", "text": "yes"}
    assert content == ([thought, text] if wanted else [text])


def test_forced_calls_come_out_valid_through_the_real_grammar(anthropic, random_tokens, masks):
    schema = {**OBJECT, "properties": {"q": {"enum": ["a", "b"]}}, "required": ["q"]}
    schema["additionalProperties"] = False  # so that random ids come to an end
    fields = body(tools=[{"name": "find.it", "input_schema": schema}])
    for kind in ({"type": "any"}, {"type": "tool", "name": "find.it"}):
        choice = {**kind, "disable_parallel_tool_use": True}
        client = anthropic(random_tokens(0), masks=masks)
        answer = client.messages.create(**fields, tool_choice=choice)
        [block] = answer.content
        assert (answer.stop_reason, block.name) == ("tool_use", "find.it")
        assert block.input["q"] in ("a", "b")


@pytest.mark.parametrize("field", ["output_format", "output_config"])
def test_a_format_beside_tools_gives_a_call_or_json(
    anthropic, serve, random_tokens, masks, tokenizer, field
):
    schema = {**OBJECT, "properties": {"q": {"enum": ["a", "b"]}}, "required": ["q"]}
    schema["additionalProperties"] = False
    form = {"type": "json_schema", "schema": schema}
    fields = {field: form if field == "output_format" else {"format": form}}
    tools = [{"name": "find.it", "input_schema": schema, "strict": True}]
    for first, reason in (
        (tokenizer.special("<|tool_calls_section_begin|>"), "tool_use"),
        (tokenizer.tokens.index(b"{"), "end_turn"),
    ):
        asked = {**body(tools=tools, max_tokens=200), "extra_body": fields}
        client = anthropic(random_tokens(0, first), masks=masks)
        answer = client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            assert shown(stream.get_final_message()) == shown(answer)
        assert answer.stop_reason == reason
        for block in answer.content:
            value = json.loads(block.text) if block.type == "text" else block.input
            assert value["q"] in ("a", "b")
        assert [block.type for block in answer.content].count("text") == (reason == "end_turn")
