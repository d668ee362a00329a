"""What is missing of a value, written down for engines that others run: the mask's own language."""

import math
import random
import re
from itertools import chain, product
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from openk2.chat import Tokenizer
from openk2.grammar import DeclaredTool, Enforcer, JsonContent, ToolCalls
from openk2.grammar.course.open_value import OpenValue
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.course.value_grammar import written as written_schema
from openk2.grammar.lark.remainder import number_rest, text_rest
from openk2.grammar.lark.scalar_rules import TERMINALS
from openk2.grammar.matcher.vocabulary import TokenVocabulary
from openk2.grammar.shapes import NumberShape

from ..conftest import SCHEMAS
from ..walks import states

# No leaf has a pattern, a format or a bound of its own, and no named property has others beside
# it: there the remainder is the mask's language to the byte.
EXACT: dict[str, Any] = {
    "anything": SCHEMAS["anything"],
    "tree": SCHEMAS["tree"],
    "texts": {"type": "array", "items": {"type": "string", "minLength": 2, "maxLength": 5}},
    "members": {
        "type": "object",
        "properties": {
            "first": {"enum": ["on", "one", "🎿é\n", 1, 12, None]},
            "firm": {"type": "boolean"},
            "size::=": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            'odd "key\\" // #': {"type": "number"},
        },
        "required": ["firm"],
        "additionalProperties": False,
    },
    "lists": {
        "type": "array",
        "prefixItems": [{"type": "boolean"}, {"type": "null"}],
        "items": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        "minItems": 1,
        "maxItems": 5,
    },
    "map": {
        "type": "object",
        "additionalProperties": {"enum": ["x", "y"]},
        "minProperties": 1,
        "maxProperties": 3,
    },
    "either": {
        "anyOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": kind}, kind: {"type": "array"}},
                "required": ["kind", kind],
                "additionalProperties": False,
            }
            for kind in ("circle", "square")
        ]
    },
}


def matcher_of(lark: str) -> LLMatcher:
    """Of bytes."""
    matcher = LLMatcher(LLTokenizer("byte"), LLMatcher.grammar_from_lark(lark), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def written(matcher: LLMatcher, chooser: random.Random, most: int) -> list[int]:
    """Bytes that the matcher allows, mostly structure."""
    text: list[int] = []
    while len(text) < most and not matcher.is_stopped():
        mask = matcher.compute_bitmask()
        allowed = [byte for byte in range(256) if mask[byte // 8] >> (byte % 8) & 1]
        structure = [byte for byte in allowed if byte in b'{}[],:"']
        preferred = structure if structure and chooser.random() < 0.6 else allowed
        if not preferred:
            break
        text.append(chooser.choice(preferred))
        assert matcher.consume_token(text[-1])
    return text


@pytest.mark.parametrize("name", EXACT)
def test_the_remainder_is_what_the_mask_takes_from_any_state(
    tokenizer: Tokenizer, name: str
) -> None:
    vocabulary = TokenVocabulary(tokenizer)
    grammar = ValueGrammar(vocabulary, written_schema(EXACT[name]))
    byte_ids = [tokenizer.tokens.index(bytes([byte])) for byte in range(256)]
    chooser, told = random.Random(3), 0
    fresh = [(OpenValue(vocabulary, grammar), list[int]())] * 9
    for value, ids in chain(fresh, states(vocabulary, tokenizer, grammar, 40, seed=5)):
        lark = value.remainder()
        if lark is None:
            continue
        told += 1
        # vLLM takes this for the sign of another language.
        assert "::=" not in lark
        for _ in range(2):
            same = OpenValue(vocabulary, grammar)
            for token_id in ids:
                same.take(token_id)
            for byte in written(matcher_of(lark), chooser, 40):
                same.take(byte_ids[byte])
    assert told > 15


@pytest.mark.parametrize("begun", ["", "{", '{"a":1', '{"a":1,', '{"a":1,"b', '{"a":1,"b":t'])
def test_the_remainder_takes_the_rest_of_a_value(tokenizer: Tokenizer, begun: str) -> None:
    properties = {"a": {"type": "integer"}, "b": {"type": "boolean"}}
    schema = {"properties": properties, "required": ["a", "b"], "additionalProperties": False}
    vocabulary = TokenVocabulary(tokenizer)
    value = OpenValue(
        vocabulary, ValueGrammar(vocabulary, written_schema({**schema, "type": "object"}))
    )
    for byte in begun.encode():
        value.take(tokenizer.tokens.index(bytes([byte])))
    lark = value.remainder()
    assert lark is not None
    matcher = matcher_of(lark)
    for byte in '{"a":1,"b":true}'.removeprefix(begun).encode():
        assert matcher.consume_token(byte), chr(byte)
    assert matcher.is_accepting()


@pytest.mark.parametrize(
    ("shape", "terminal"),
    [
        (NumberShape(True, -math.inf, math.inf), "INTEGER"),
        (NumberShape(False, -math.inf, math.inf), "NUMBER"),
        (NumberShape(False, 0, math.inf), "POSITIVE"),
    ],
)
def test_the_rest_of_a_number_is_what_makes_one_of_it(shape: NumberShape, terminal: str) -> None:
    [pattern] = [line.split("/")[1] for line in TERMINALS if line.startswith(f"{terminal}:")]
    texts = ["".join(letters) for n in range(5) for letters in product("-+01.eE", repeat=n)]
    whole = [text for text in texts if re.fullmatch(pattern, text)]
    for begun in {text[:end] for text in whole for end in range(1, len(text) + 1)}:
        rest = number_rest(shape, begun)
        body = f"({rest[1 : rest.rindex('/')]}){rest[rest.rindex('/') + 1 :]}" if rest else ""
        for end in texts[:400]:
            is_number = re.fullmatch(pattern, begun + end) is not None
            assert (re.fullmatch(body, end) is not None) == is_number, (begun, end, rest)
    for digits in (39, 40):
        rest = number_rest(shape, "1" * digits)
        assert (re.fullmatch(rest[1:].split("/")[0], "1") is not None) == (digits < 40)


def test_the_rest_of_a_text_is_what_makes_one_of_it() -> None:
    [pattern] = [line.partition(" /")[2][:-1] for line in TERMINALS if line.startswith("TEXT:")]
    for text in ('"a\\\\b"', r'"\u0000\u001F\u007f"', r'"\n\\u0"', r'"\ud7ff\ue000\uD000"'):
        assert re.fullmatch(pattern, text)
        for end in range(1, len(text)):
            rest = text_rest(text[:end].encode())[1:-1]
            assert re.fullmatch(rest, text[end:]), (text[:end], rest)
    for wrong in (r'"\ud800"', r'"\udfff"', r'"\u00"', r'"\x41"', '"\x01"'):
        assert not re.fullmatch(pattern, wrong)
    for begun, wrong in ((r'"\ud', '800"'), (r'"\u00', '"'), ('"\\', 'x41"'), (r'"\uD7f', 'g"')):
        assert not re.fullmatch(text_rest(begun.encode())[1:-1], wrong)


@pytest.mark.parametrize(("required", "may_end"), [([], True), (["a"], False), (["b"], False)])
def test_an_object_may_end_at_once_if_nothing_is_owed(
    tokenizer: Tokenizer, required: list[str], may_end: bool
) -> None:
    properties = {"a": {"type": "integer"}, "b": {"type": "boolean"}}
    schema = {"type": "object", "properties": properties, "required": required}
    vocabulary = TokenVocabulary(tokenizer)
    value = OpenValue(vocabulary, ValueGrammar(vocabulary, written_schema(schema)))
    value.take(tokenizer.tokens.index(b"{"))
    lark = value.remainder()
    assert lark is not None
    assert matcher_of(lark).try_consume_tokens([ord("}")]) == may_end


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_has_a_grammar_that_the_library_compiles(
    tokenizer: Tokenizer, name: str
) -> None:
    vocabulary = TokenVocabulary(tokenizer)
    grammar = ValueGrammar(vocabulary, written_schema(SCHEMAS[name]))
    for value, _ in states(vocabulary, tokenizer, grammar, 40, seed=2):
        lark = value.remainder()
        assert lark is None or matcher_of(lark)


def test_every_schema_of_the_vendors_has_a_grammar_that_the_library_compiles(
    tokenizer: Tokenizer, vendor_schemas: list[Any]
) -> None:
    vocabulary = TokenVocabulary(tokenizer)
    for schema in vendor_schemas:
        lark = ValueGrammar(vocabulary, written_schema(schema)).remainder(b"")
        assert lark is not None
        assert matcher_of(lark)


@pytest.mark.parametrize("begun", ['{"firm":true}', '{"firm":true,"odd'])
def test_a_value_in_calls_has_a_remainder_and_nothing_else(
    tokenizer: Tokenizer, enforcer: Enforcer, begun: str
) -> None:
    mask = enforcer.mask(
        ToolCalls((DeclaredTool("f", EXACT["members"]),), required=True), max_tokens=200
    )
    for name in ("<|tool_calls_section_begin|>", "<|tool_call_begin|>"):
        assert mask.remainder() is None
        mask.accept(tokenizer.special(name))
    for token_id in tokenizer.encode("functions.f:0"):
        mask.accept(token_id)
    mask.accept(tokenizer.special("<|tool_call_argument_begin|>"))
    assert mask.remainder().startswith("start: v0\n")
    for token_id in tokenizer.encode(begun):
        mask.accept(token_id)
    assert (mask.remainder() is None) == begun.endswith("}")


def test_a_mask_takes_every_spelling_of_a_text_and_nothing_behind_which_it_would_not_obey(
    tokenizer: Tokenizer, enforcer: Enforcer
) -> None:
    ids = {token: token_id for token_id, token in enumerate(tokenizer.tokens)}
    mask = enforcer.mask(JsonContent(EXACT["members"]), max_tokens=99)
    for byte in b'{"firm":t':
        for wrong in (ids[b"z"], tokenizer.special("<|tool_call_end|>")):
            with pytest.raises(ValueError, match="not allowed"):
                mask.accept(wrong)
        assert mask.accept(ids[bytes([byte])])
    free = enforcer.mask(ToolCalls((DeclaredTool("f", {}),), required=False), max_tokens=99)
    with pytest.raises(ValueError, match="not allowed"):
        free.accept(tokenizer.special("<|tool_call_argument_begin|>"))
