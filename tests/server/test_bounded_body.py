"""Bodies beyond a bound: refused by field and limit, at the first wrong item, in little time."""

import json
import math
import time
import tracemalloc
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openk2.server.bounded_body import MOST_ITEMS, check_body, read_json
from openk2.server.errors import ApiError

ROUTES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/tokenize",
    "/detokenize",
)
MESSAGES = [{"role": "user", "content": "Hi"}]
PLAIN: dict[str, Any] = {
    "model": "openk2-test",
    "messages": MESSAGES,
    "max_tokens": 4,
}


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


def deep(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.fixture
def url(serve, scripted) -> str:
    return serve(scripted("Hello«<|im_end|>»"))


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("field", ["messages", "tools", "tokens", "prompt", "stop", "logit_bias"])
@pytest.mark.parametrize("item", ["1", "{}", "[1]"])
def test_a_long_list_of_wrong_items_is_refused_at_the_first(
    url: str, path: str, field: str, item: str
) -> None:
    fields = {name: json.dumps(value) for name, value in PLAIN.items()}
    if path in ("/v1/completions", "/tokenize"):
        del fields["messages"]
        fields["prompt"] = '"x"'
    count = 300_000 // (len(item) + 1)
    fields[field] = f"[{','.join([item] * count)}]"
    body = "{" + ",".join(f'"{name}": {text}' for name, text in fields.items()) + "}"
    answer = httpx.post(url + path, content=body, headers={"content-type": "application/json"})
    if field in MOST_ITEMS:  # refused before pydantic, which would make an error of each item
        assert answer.status_code == 400
        assert f"{field}: has {count} items: {MOST_ITEMS[field]} are possible" in answer.text
    if answer.status_code != 200:  # a field that the route does not know is tolerated
        assert answer.status_code == 400, answer.text[:300]
        assert len(answer.text) < 1000


def test_eight_megabytes_of_ones_cost_little_time_and_memory() -> None:
    body = b'{"model":"openk2-nano","messages":[' + b"1," * 4_190_000 + b"1]}"
    with pytest.raises(ApiError, match="holds 4190001 items: 1500000 are possible"):
        read_json(body)
    read = {"messages": [1] * 4_190_000}
    began = time.process_time()
    tracemalloc.start()
    with pytest.raises(ApiError, match="messages: has 4190000 items: 10000 are possible"):
        check_body(read)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert time.process_time() - began < 1


@pytest.mark.parametrize("item", ["[]", "{}", '""', '"\\"\\\\"', "1", '{"a":1}'])
def test_a_body_of_too_many_values_is_refused_without_being_read(item: str, monkeypatch) -> None:
    body = f'{{"x":[{",".join([item] * (8_000_000 // (len(item) + 1)))}]}}'.encode()
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("was read"))
    began = time.process_time()
    with pytest.raises(ApiError, match="the body holds"):
        read_json(body)
    assert time.process_time() - began < 0.5


def test_what_a_text_says_is_not_counted() -> None:
    text = '[{",\\"]}' * 400_000
    assert read_json(json.dumps({"x": text}).encode()) == {"x": text}
    ids = list(range(1_200_000))
    assert read_json(json.dumps({"prompt": ids}).encode()) == {"prompt": ids}


LARGE = [
    ({"messages": MESSAGES * 10_001}, "messages"),
    ({"messages": [*MESSAGES, 5]}, "messages[1]"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * 10_001}]},
     "messages[0].content"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}] * 10_001}]}, "messages[0].tool_calls"),
    ({"tools": [{}] * 1_025}, "tools"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"stop": "x" * 1_001}, "stop"),
    ({"stop": ["y", "x" * 1_001]}, "stop[1]"),
    ({"stop_sequences": ["x" * 1_001]}, "stop_sequences[0]"),
    ({"logit_bias": {str(n): 0 for n in range(1_025)}}, "logit_bias"),
    ({"model": "x" * 1_001}, "model"),
    ({"metadata": {str(n): n for n in range(200_000)}}, "metadata"),
    ({"metadata": [[0] * 500] * 500}, "metadata"),
    ({"metadata": deep(101)}, "metadata"),
    ({"tools": [{"function": {"parameters": deep(101)}}]}, "tools"),
    ({"seed": 10**400}, "seed"),
    ({"seed": -(10**40)}, "seed"),
    ({"temperature": math.inf}, "temperature"),
    ({"tools": [{"function": {"parameters": {"exclusiveMinimum": 10**400}}}]},
     "tools[0].function.parameters.exclusiveMinimum"),
    ({"response_format": {"json_schema": {"schema": {"enum": [1, math.nan]}}}},
     "response_format.json_schema.schema.enum[1]"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "place"), LARGE)
def test_a_body_beyond_a_bound_names_field_and_limit(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_body({**PLAIN, **fields})
    assert (caught.value.status, caught.value.param) == (400, place)
    assert str(caught.value).startswith(f"{place}: ")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": MESSAGES * 10_000},
        {"tools": [{"type": "function"}] * 1_024},
        {"stop": ["x" * 1_000] * 16},
        {"logit_bias": {str(n): 0 for n in range(1_024)}},
        {"metadata": deep(99), "seed": 10**40 - 1, "temperature": 1e308},
        {"prompt": [5] * 300_000},
        {"prompt": "x" * 4_000_000},
    ],
)
def test_a_body_at_the_bounds_passes(fields: dict[str, Any]) -> None:
    check_body({**PLAIN, **fields})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**39), 10**39) | st.text(max_size=9)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=9), VALUES, max_size=4), st.data())
def test_the_place_that_is_named_is_where_the_number_stands(
    body: dict[str, Any], data: st.DataObject
) -> None:
    body = {f"x{field}": value for field, value in body.items()}
    check_body(body)
    holder: Any = body
    place = ""
    while True:
        step = data.draw(st.sampled_from(["", *holder]) if isinstance(holder, dict) else st.just(0))
        inside = holder.get(step) if isinstance(holder, dict) else holder[0]
        if not isinstance(inside, dict | list) or not inside:
            break
        place += f".{step}" if isinstance(holder, dict) else "[0]"
        holder = inside
    if isinstance(holder, list):
        holder[0], wrong = 10**400, f"{place}[0]"
    else:
        holder["wrong"], wrong = math.inf, f"{place}.wrong"
    with pytest.raises(ApiError) as caught:
        check_body(body)
    assert caught.value.param == wrong.removeprefix(".")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (nested(100_000), "nested deeper than 100"),
        (nested(50_000, '{"a":', "}").replace(":}", ":1}"), "nested deeper than 100"),
        ('{"seed": ' + "1" * 5_000 + "}", "more than 40 digits"),
        (b'{"model": "\xff"}', "cannot be read as JSON"),
        ('{"\\ud800": 1e999}', "no finite number"),
    ],
)
@pytest.mark.parametrize("path", ROUTES)
def test_what_python_cannot_read_is_a_400(
    url: str, path: str, body: str | bytes, words: str
) -> None:
    answer = httpx.post(url + path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert words in answer.text


def test_text_that_cannot_fit_is_refused_before_it_is_encoded(
    serve, scripted, tokenizer, monkeypatch
) -> None:
    def encode(text: str) -> list[int]:
        assert len(text) < 100_000, "encoded all the same"
        return original(text)

    original = tokenizer.encode
    url = serve(scripted("Hello«<|im_end|>»"))
    monkeypatch.setattr(tokenizer, "encode", encode)
    text = "a" * (4096 * tokenizer.longest_token + 1)
    parts = [{"type": "text", "text": text[:1000]}, {"type": "text", "text": text}]
    hi = {"role": "user", "content": "hi"}
    asked = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": text}]},
        "/v1/completions": {"prompt": text},
        "/tokenize": {"messages": [{"role": "user", "content": parts}]},
        "/v1/messages": {"messages": [{"role": "user", "content": parts}]},
        "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": text}]},
    }
    for path, fields in asked.items():
        answer = httpx.post(url + path, json={"model": "openk2-test", "max_tokens": 4, **fields})
        assert answer.status_code == 400, path
        assert "4096" in answer.json()["error"]["message"]
    for path in ("/v1/completions", "/tokenize"):
        answer = httpx.post(url + path, json={"model": "openk2-test", "prompt": text})
        assert answer.status_code == 400
    call = {"id": "functions.f:0", "type": "function"}
    tool = {"type": "function", "function": {"name": "f"}}
    for fields in (
        {"messages": [hi], "tools": [{**tool, "function": {"name": "f", "description": text}}]},
        {"messages": [hi], "tools": [{**tool, "function": {"name": "f", "parameters": {
            "type": "object", "properties": {"x": {"description": text}}}}}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": [
            {**call, "function": {"name": "f", "arguments": text}}]}, hi]},
        {"messages": [{**hi, "name": text}]},
        {"messages": [hi, {"role": "assistant", "content": text, "partial": True}]},
    ):  # fmt: skip
        answer = httpx.post(f"{url}/v1/chat/completions", json={"model": "openk2-test", **fields})
        assert answer.status_code == 400, fields.keys()
        assert "at least" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("tokens", "place"),
    [([1] * 4097, "tokens"), ([1, "2"], "tokens[1]"), ([1, True], "tokens[1]"), ("1", "tokens"),
     ([1, 10**30], "tokens"), ([-1], "tokens")],
)  # fmt: skip
def test_ids_that_are_none_are_refused_by_detokenize(url: str, tokens: Any, place: str) -> None:
    answer = httpx.post(url + "/detokenize", json={"tokens": tokens})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, place)


def test_more_prompts_than_answers_are_refused_before_they_are_read(url: str) -> None:
    body = {"model": "openk2-test", "prompt": [[1]] * 257, "n": 2}
    answer = httpx.post(url + "/v1/completions", json=body)
    assert answer.status_code == 400
    assert "257 prompts for 2 choices each: 512" in answer.json()["error"]["message"]


@pytest.mark.parametrize("seed", [2**63 - 1, -(2**63)])
def test_choices_of_the_last_seed_have_seeds(serve, scripted, seed: int) -> None:
    tokens = scripted("Hello«<|im_end|>»")
    url = serve(tokens)
    body = {**PLAIN, "seed": seed, "n": 3}
    assert httpx.post(url + "/v1/chat/completions", json=body).status_code == 200
    seeds = [params.seed for params in tokens.params]
    assert len({*seeds}) == 3
    assert all(-(2**63) <= one < 2**63 for one in seeds)
    assert len({params.owner for params in tokens.params}) == 1
    assert None not in {params.owner for params in tokens.params}
