import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from openk2.chat import Tokenizer, train_tokenizer
from openk2.data import Role
from openk2.data.call_roles import argument_roles, name_roles
from openk2.data.chat_dataset import chat_documents

TEXT = '{"city": "New York", "unit":"C"} functions.get_weather:0 {"n": [1, "a"], "":true}}'

WORDS = [
    "New York",
    'a"b',
    "\\",
    '\\\\"',
    "Zürich",
    "{}",
    '": ',
    "x:1",
    ",",
    "漢",
    "",
    "\n",
    "\x01😀",
]


def random_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(6 if depth < 3 else 4)
    if kind < 2:
        return "".join(rng.choices(WORDS, k=rng.randrange(3)))
    if kind < 4:
        return rng.choice([0, -12, 3.5e-9, 10**20, True, False, None])
    items = [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return items if kind == 4 else dict(zip(rng.sample(WORDS, len(items)), items, strict=True))


def random_objects(count: int) -> Iterator[dict[str, Any]]:
    """Values of any kind at any depth, under keys that need escapes or look like punctuation."""
    rng = random.Random(7)
    for _ in range(count):
        yield {key: random_value(rng) for key in rng.sample(WORDS, rng.randrange(4))}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([TEXT] * 3, 512 + 24)


def written(value: Any, dump: Any) -> list[tuple[Role, str]]:
    """What JSON text of a value should hold, in order: strings with the quote that ends them."""
    if isinstance(value, dict):
        members = [[(Role.KEY, dump(k)[1:]), *written(v, dump)] for k, v in value.items()]
        return [part for member in members for part in member]
    if isinstance(value, list):
        return [part for item in value for part in written(item, dump)]
    return [(Role.VALUE, dump(value)[1:] if isinstance(value, str) else dump(value))]


def runs(text: str, roles: np.ndarray) -> list[tuple[Role, str]]:
    """Stretches of one role above STRUCTURE, a role a byte."""
    data, found, start = text.encode(), [], 0
    for end in range(1, len(data) + 1):
        if end == len(data) or roles[end] != roles[start]:
            if roles[start] > Role.STRUCTURE:
                found.append((Role(int(roles[start])), data[start:end].decode()))
            start = end
    return found


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("indent", [None, 1])
def test_keys_and_values_are_those_that_a_json_parser_reads(
    escaped: bool, indent: int | None
) -> None:
    def dump(value: Any) -> str:
        return json.dumps(value, ensure_ascii=escaped)

    for value in random_objects(300):
        text = json.dumps(value, ensure_ascii=escaped, indent=indent)
        roles = argument_roles([bytes([byte]) for byte in text.encode()])
        assert runs(text, roles) == written(value, dump)


def test_a_token_has_the_largest_role_of_its_bytes(tokenizer: Tokenizer) -> None:
    for value in random_objects(300):
        text = json.dumps(value, ensure_ascii=False)
        tokens = [tokenizer.tokens[i] for i in tokenizer.encode(text)]
        by_byte = argument_roles([bytes([byte]) for byte in text.encode()]).tolist()
        for token, role in zip(tokens, argument_roles(tokens).tolist(), strict=True):
            assert role == max(by_byte[: len(token)])
            del by_byte[: len(token)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"city": "New Yo', ["city", "New Yo"]),
        ('{"a": 1, "b', ["a", "1", "b"]),
        ('"a\\', ["a\\"]),
        ("Zurich, today", ["Zurich", "today"]),
        ("{}", []),
    ],
)
def test_broken_arguments_are_read_as_far_as_they_go(text: str, parts: list[str]) -> None:
    found = runs(text, argument_roles([bytes([byte]) for byte in text.encode()]))
    assert [part.rstrip('"') for _, part in found] == parts


@pytest.mark.parametrize(
    ("call_id", "named"),
    [
        ("functions.get_weather:0", ["get_weather:"]),
        ("functions.a:b:12", ["a:b:"]),
        ("functions.get_weather", []),
        ("call_1234", []),
        ("functions.x:y", []),
    ],
)
def test_the_name_is_what_stands_between_prefix_and_number(call_id: str, named: list[str]) -> None:
    found = runs(call_id, name_roles([bytes([byte]) for byte in call_id.encode()]))
    assert found == [(Role.NAME, name) for name in named]


CHAT = {
    "messages": [
        {"role": "user", "content": 'functions.f:0 {"city": "Zurich"}'},
        {
            "role": "assistant",
            "content": '{"city": "Zurich"}',
            "tool_calls": [
                {"id": "functions.f:0", "function": {"arguments": '{"city":"Zurich"}'}},
                {"id": "functions.f:1", "function": {"arguments": ""}},
            ],
        },
    ]
}


@pytest.mark.parametrize("learn_all", [False, True])
def test_only_what_stands_in_a_call_has_its_roles(tokenizer: Tokenizer, learn_all: bool) -> None:
    (document,) = chat_documents([CHAT], tokenizer, learn_all=learn_all)
    roles = np.asarray(document.learned)
    assert roles.dtype == np.uint8
    text = {
        role: tokenizer.decode(np.asarray(document.ids)[roles == role].tolist()) for role in Role
    }
    # The markup is learned as names are: it decides whether to call, and whether to call again.
    call = "<|tool_call_begin|>f:<|tool_call_argument_begin|><|tool_call_end|>"
    section = f"<|tool_calls_section_begin|>{call}{call}<|tool_calls_section_end|><|im_end|>"
    assert section in text[Role.NAME]
    assert ("<|im_user|>" in text[Role.STRUCTURE]) == learn_all
    assert text[Role.KEY].startswith("city")
    assert text[Role.VALUE].startswith("Zurich")
    user = tokenizer.encode(CHAT["messages"][0]["content"])
    assert ("<|im_user|>" in text[Role.NOT_LEARNED]) != learn_all
    assert tokenizer.decode(user) in text[Role.STRUCTURE if learn_all else Role.NOT_LEARNED]
