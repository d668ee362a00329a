"""Demands on the output of an engine that enforces the grammar, or schema, that it is handed."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from llguidance import LLMatcher, LLTokenizer

import openk2
from openk2.chat import Tokenizer
from openk2.gateway import GuidedMasks
from openk2.gateway.guidance import has_choice
from openk2.generation import ChatRequest, JsonFormat, NamedTool
from openk2.grammar import ChatMasks

from .test_mask_walk import BEGIN, END, GOOD, HEAD, SCHEMA, TOOLS, masks, request
from .test_tokens import MESSAGES, ask
from .upstreams import FakeUpstream

__all__ = ["masks"]  # a fixture
NESTED = {
    "type": "object",
    "properties": {
        "robot_id": {"type": "string", "minLength": 3, "maxLength": 12},
        "speed": {"enum": ["slow", "slower", 3]},
        "stops": {"type": "array", "items": SCHEMA, "minItems": 1, "maxItems": 2},
        "notes": {"type": "object", "additionalProperties": {"type": "boolean"}},
    },
    "required": ["robot_id", "stops"],
    "additionalProperties": False,
}


def only(properties: dict) -> dict:
    """The schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.fixture(scope="module")
def merged() -> Tokenizer:
    """A tokenizer in which most texts can be spelt in many ways."""
    return Tokenizer.load(Path(openk2.__file__).parent / "assets" / "openk2-nano")


@pytest.fixture(scope="module")
def merged_masks(merged):
    return GuidedMasks(ChatMasks(merged), merged)


class Obedient:
    """Enforces the grammar that it is handed and otherwise chooses at random, a byte at a time:
    as a weak model under a grammar, it spells nothing in the usual way.

    errs_at: how many ids into an answer it says a special that nothing allows, once.
    """

    def __init__(self, tokenizer: Tokenizer, seed: int, errs_at: int | None = None) -> None:
        self.byte_ids = [tokenizer.tokens.index(bytes([byte])) for byte in range(256)]
        self.end = tokenizer.special("<|im_end|>")
        self.wrong = tokenizer.special("<|im_user|>")
        self.chooser = random.Random(seed)
        self.errs_at = errs_at

    def __call__(self, done, body):
        grammar = LLMatcher.grammar_from_lark(body["structured_outputs"]["grammar"])
        matcher = LLMatcher(LLTokenizer("byte"), grammar, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        said = []
        while not matcher.is_accepting():
            if self.errs_at is not None and len(said) == self.errs_at:
                self.errs_at = None
                return [*said, self.wrong]
            mask = matcher.compute_bitmask()
            allowed = [byte for byte in range(128) if mask[byte // 8] >> (byte % 8) & 1]
            ends = [byte for byte in allowed if byte in b'"}]']
            byte = self.chooser.choice(ends if ends and len(said) > 60 else allowed)
            matcher.consume_token(byte)
            said.append(self.byte_ids[byte])
        return [*said, self.end]


def demanded(how: str, **settings) -> ChatRequest:
    """A call, or content, of the nested schema."""
    if how == "content":
        form = JsonFormat(NESTED)
        return ChatRequest(MESSAGES, max_tokens=900, response_format=form, **settings)
    tool = {"type": "function", "function": {"name": "f.g", "parameters": NESTED}}
    choice = NamedTool("f.g")
    return ChatRequest(MESSAGES, [tool], max_tokens=900, tool_choice=choice, **settings)


def obeys(answer) -> bool:
    [text] = [call.arguments for call in answer.tool_calls] or [answer.content]
    Draft202012Validator(NESTED).validate(json.loads(text))
    return True


@pytest.mark.parametrize("how", ["content", "call"])
def test_an_upstream_that_enforces_its_grammar_is_asked_once_an_answer(merged, merged_masks, how):
    for seed in range(5):
        fake = FakeUpstream(merged, Obedient(merged, seed))
        assert obeys(ask(merged, demanded(how), fake, masks=merged_masks)[0])
        assert len(fake.bodies) == 1


@pytest.mark.parametrize("how", ["content", "call"])
def test_behind_an_id_that_is_refused_the_rest_is_handed_over(merged, merged_masks, how):
    for errs_at in range(1, 60, 7):
        fake = FakeUpstream(merged, Obedient(merged, errs_at, errs_at))
        assert obeys(ask(merged, demanded(how), fake, masks=merged_masks)[0])
        assert len(fake.bodies) == 2
        first, second = fake.bodies
        assert second["prompt"][: len(first["prompt"])] == first["prompt"]
        assert len(second["prompt"]) >= len(first["prompt"]) + errs_at
        assert second["max_tokens"] == 900 - len(second["prompt"]) + fake.base


def test_behind_an_id_that_is_refused_a_long_rest_is_read_to_its_end(merged, merged_masks):
    fake = FakeUpstream(merged, Obedient(merged, 3, errs_at=20))
    form = JsonFormat(only({"text": {"type": "string", "minLength": 200, "maxLength": 220}}))
    wanted = ChatRequest(MESSAGES, max_tokens=900, response_format=form)
    answer, _ = ask(merged, wanted, fake, masks=merged_masks)
    assert len(json.loads(answer.content)["text"]) >= 200
    assert len(fake.bodies) == 2


def test_behind_a_lost_connection_the_rest_is_handed_over(merged, merged_masks):
    fake = FakeUpstream(merged, Obedient(merged, 2))
    fake.faults = ["die", "die"]
    assert obeys(ask(merged, demanded("content"), fake, masks=merged_masks)[0])
    assert ["structured_outputs" in body for body in fake.bodies] == [True] * 3


def test_where_being_told_did_not_help_one_token_is_asked_for(merged, merged_masks):
    obedient = Obedient(merged, 1, errs_at=0)
    brace = merged.tokens.index(b'{"')

    def output(done, body):
        return obedient(done, body) if "structured_outputs" in body else [brace]

    fake = FakeUpstream(merged, output)
    assert obeys(ask(merged, demanded("content"), fake, masks=merged_masks)[0])
    assert ["structured_outputs" in body for body in fake.bodies] == [True, False, True]
    assert [body["max_tokens"] for body in fake.bodies[:2]] == [900, 1]
    assert fake.bodies[1]["logit_bias"] == {str(brace): 100.0}


def test_a_free_call_that_breaks_its_schema_is_gone_on_with_by_a_grammar(
    tokenizer, encode_output, masks
):
    bad = encode_output(BEGIN + HEAD + '{"city":"Koeln","days":"three"}' + END)
    good = encode_output(BEGIN + HEAD + GOOD + END)
    obedient = Obedient(tokenizer, 3)

    def output(done, body):
        if "structured_outputs" in body:
            return obedient(done, body)
        return good[len(good) - 2 :] if done[-1:] == [obedient.call_end] else bad[len(done) :]

    obedient.call_end = tokenizer.special("<|tool_call_end|>")
    fake = FakeUpstream(tokenizer, output)
    answer, _ = ask(tokenizer, request(), fake, masks=masks)
    [call] = answer.tool_calls
    assert call.arguments.startswith('{"city":"Koeln","days":')
    Draft202012Validator(SCHEMA).validate(json.loads(call.arguments))
    # Whether another call follows is the model's to say.
    assert ["structured_outputs" in body for body in fake.bodies] == [False, True, False]


def test_names_of_specials_in_a_value_are_warded_off_and_the_requests_own_bias_is_kept(
    merged, merged_masks
):
    fake = FakeUpstream(merged, Obedient(merged, 1))
    ask(merged, demanded("content", logit_bias={7: -1.5}), fake, masks=merged_masks)
    bias = fake.bodies[0]["logit_bias"]
    stops = merged.stop_ids
    specials = {str(i) for i in merged.specials.values() if i not in stops}
    assert bias == {"7": -1.5} | dict.fromkeys(specials, -100.0)


def test_an_upstream_that_fails_over_a_grammar_is_asked_without(tokenizer, encode_output, masks):
    good = encode_output(GOOD + "«<|im_end|>»")
    fake = FakeUpstream(tokenizer, lambda done, body: good[len(done) :])
    fake.faults = ["500"]
    wanted = ChatRequest(MESSAGES, max_tokens=99, response_format=JsonFormat(SCHEMA))
    answer, _ = ask(tokenizer, wanted, fake, masks=masks)
    assert answer.content == GOOD
    assert ["structured_outputs" in body for body in fake.bodies] == [True, False]


@pytest.mark.parametrize(
    ("owner", "refuses", "handed"),
    [
        ("vllm", set(), ["grammar"]),
        ("vllm", {"grammar"}, ["grammar", "json"]),
        ("vllm", {"structured_outputs"}, ["grammar", "json"]),
        ("sglang", set(), ["json_schema"]),
        ("sglang", {"json_schema"}, ["json_schema"]),
    ],
)
def test_an_upstream_is_told_where_the_value_begins_in_the_most_exact_way_that_it_takes(
    tokenizer, encode_output, masks, owner, refuses, handed, caplog
):
    whole = encode_output(BEGIN + HEAD + GOOD + END)
    value = encode_output(GOOD + "«<|im_end|>»")
    begins = len(encode_output(BEGIN + HEAD))

    def output(done, body):
        guided = "structured_outputs" in body or "json_schema" in body
        return value if guided else whole[len(done) :]

    fake = FakeUpstream(tokenizer, output)
    fake.card["owned_by"] = owner
    fake.refuses = refuses
    answer, _ = ask(tokenizer, request(tool_choice="required"), fake, masks=masks)
    assert answer.tool_calls[0].arguments == GOOD
    told = [
        {**body.get("structured_outputs", {}), **body}
        for body in fake.bodies
        if len(body["prompt"]) == fake.base + begins
    ]
    kinds = ("grammar", "json", "json_schema")
    assert [kind for body in told for kind in kinds if kind in body] == handed
    assert [record.args[1] for record in caplog.records] == [
        kind for kind in handed if kind in refuses or "structured_outputs" in refuses
    ]
    schemas = [body["json"] for body in told if "json" in body]
    schemas += [json.loads(body["json_schema"]) for body in told if "json_schema" in body]
    assert all(schema == TOOLS[0]["function"]["parameters"] for schema in schemas)


@pytest.mark.parametrize("calls", [True, False])
def test_beside_tools_a_format_leaves_the_choice_to_the_upstream(merged, merged_masks, calls):
    begun = [merged.special("<|tool_calls_section_begin|>")] if calls else merged.encode("{")
    inside = Obedient(merged, 3)

    def upstream(done, body):
        if "structured_outputs" in body:
            return inside(done, body)
        # The user's marker is refused, and the rest is asked for with a grammar.
        return [*([] if done else begun), inside.wrong]

    fake = FakeUpstream(merged, upstream)
    wanted = replace(
        demanded("call", parallel_tool_calls=False),
        tool_choice="auto",
        response_format=JsonFormat(NESTED),
    )
    answer = ask(merged, wanted, fake, masks=merged_masks)[0]
    assert obeys(answer)
    assert bool(answer.tool_calls) == calls
    assert "structured_outputs" not in fake.bodies[0]


@pytest.mark.parametrize(
    ("schema", "choice"),
    [
        ({"const": 3}, False),
        ({"enum": ["a"]}, False),
        ({"enum": ["a", "b"]}, True),
        ({"type": "string"}, True),
        (True, True),
        (only({"text": {"enum": ["a"]}, "other": {"const": None}}), False),
        (only({"text": {"enum": ["a"]}, "other": {"type": ["null", "string"]}}), True),
        ({**only({"text": {"enum": ["a"]}}), "additionalProperties": True}, True),
        ({**only({"text": {"enum": ["a"]}}), "required": []}, True),
    ],
)
def test_a_schema_has_a_choice_unless_it_plainly_has_one_value(schema, choice):
    assert has_choice(schema) == choice
    values = [3, "a", "b", None, {"text": "a", "other": None}, {"text": "a"}, {}]
    valid = [value for value in values if Draft202012Validator(schema).is_valid(value)]
    assert choice or len(valid) == 1


def test_arguments_without_a_choice_are_spelt_as_the_tokenizer_does(merged, merged_masks):
    """An engine, with a grammar or without, spells them a byte at a time here."""
    text = "The river was wide and the water was cold."
    function = {"name": "repeat", "parameters": only({"text": {"enum": [text]}})}
    wanted = ChatRequest(
        MESSAGES, [{"type": "function", "function": function}], max_tokens=200,
        tool_choice=NamedTool("repeat"), parallel_tool_calls=False,
    )  # fmt: skip
    fake = FakeUpstream(merged, Obedient(merged, 5))
    fake.card["owned_by"] = "vllm"
    answer = ask(merged, wanted, fake, masks=merged_masks)[0]
    assert json.loads(answer.tool_calls[0].arguments) == {"text": text}
    assert len(fake.bodies) <= 4
    assert answer.completion_tokens < len(text)
