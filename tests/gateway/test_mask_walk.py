"""Demands on the output of an engine that knows no masks."""

import numpy as np
import pytest

from openk2.chat import ToolCall
from openk2.gateway import GuidedMasks, UpstreamError
from openk2.gateway.mask_walk import FEW, MaskWalk
from openk2.gateway.tokens import MAX_REPAIRS
from openk2.generation import ChatRequest, JsonFormat, NamedTool
from openk2.grammar import ChatMasks

from .test_tokens import MESSAGES, ask
from .upstreams import FakeUpstream

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "f.g", "parameters": SCHEMA}}]
BEGIN = "«<|tool_calls_section_begin|>»«<|tool_call_begin|>»"
HEAD = "functions.f.g:0«<|tool_call_argument_begin|>»"
END = "«<|tool_call_end|>»«<|tool_calls_section_end|>»«<|im_end|>»"
GOOD = '{"city":"Köln","days":3}'


@pytest.fixture(scope="module")
def masks(tokenizer):
    return GuidedMasks(ChatMasks(tokenizer), tokenizer)


def request(**demands) -> ChatRequest:
    return ChatRequest(MESSAGES, TOOLS, max_tokens=200, **demands)


def steered(good, bad):
    """Says `bad`, but `good` under a bias and behind what only that has."""

    def output(done, body):
        led = "logit_bias" in body or bad[: len(done)] != done
        return (good if led else bad)[len(done) :]

    return output


@pytest.mark.parametrize("choice", ["required", NamedTool("f.g")])
@pytest.mark.parametrize("gives_ids", [True, False])
def test_a_forced_call_is_made_by_an_upstream_that_knows_no_grammar(
    tokenizer, encode_output, masks, choice, gives_ids
):
    fake = FakeUpstream(tokenizer, encode_output(BEGIN + HEAD + GOOD + END))
    fake.card["owned_by"] = "somebody"
    fake.gives_ids = gives_ids
    answer, _ = ask(tokenizer, request(tool_choice=choice), fake, masks=masks)
    assert answer.tool_calls == (ToolCall("functions.f.g:0", "f.g", GOOD),)
    assert (answer.content, answer.finish_reason) == ("", "tool_calls")
    # The beginning leaves no choice (of single bytes), so it was not asked for but given.
    assert len(fake.bodies) == 1
    assert tokenizer.decode(fake.bodies[0]["prompt"]).endswith('_argument_begin|>{"city":')


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize("gives_ids", [True, False])
@pytest.mark.parametrize(
    "bad",
    [
        BEGIN + HEAD + '{"city":"Köln","days":"three"}' + END,
        BEGIN + HEAD + '{"city":"Köln"}' + END,
        BEGIN + HEAD + '{"city":"Köln","days":3«<|im_end|>»',
        BEGIN + "functions.other:0«<|tool_call_argument_begin|>»" + GOOD + END,
    ],
)
def test_what_breaks_the_schema_is_asked_for_again_behind_what_is_right(
    tokenizer, encode_output, masks, bad, gives_ids, choice
):
    good = encode_output(BEGIN + HEAD + GOOD + END)
    fake = FakeUpstream(tokenizer, steered(good, encode_output(bad)))
    fake.card["owned_by"] = "somebody"
    fake.gives_ids = gives_ids
    answer, _ = ask(tokenizer, request(tool_choice=choice), fake, masks=masks)
    assert answer.tool_calls == (ToolCall("functions.f.g:0", "f.g", GOOD),)
    repairs = [body for body in fake.bodies if "logit_bias" in body]
    # Where only one id is right, nobody is asked.
    assert len(repairs) <= 3
    assert all(body["max_tokens"] == 1 for body in repairs)


def test_an_upstream_that_never_obeys_is_given_up_with_a_reason(tokenizer, encode_output, masks):
    letter = encode_output("z")
    fake = FakeUpstream(tokenizer, lambda done, body: letter * 9)
    with pytest.raises(UpstreamError, match=f"is still invalid after {MAX_REPAIRS} corrections"):
        ask(tokenizer, request(tool_choice="required"), fake, masks=masks)
    assert len(fake.bodies) <= MAX_REPAIRS + 1


def test_a_free_answer_is_neither_guided_nor_broken_off(tokenizer, encode_output, masks):
    text = encode_output("Hello «<|im_end|>»")
    fake = FakeUpstream(tokenizer, text)
    assert ask(tokenizer, request(), fake, masks=masks)[0].content == "Hello "
    called = FakeUpstream(tokenizer, encode_output("Well " + BEGIN + HEAD + GOOD + END))
    assert ask(tokenizer, request(), called, masks=masks)[0].tool_calls[0].arguments == GOOD
    assert [len(fake.bodies), len(called.bodies)] == [1, 1]


@pytest.mark.parametrize("owner", ["vllm", "somebody"])
def test_json_content(tokenizer, encode_output, masks, owner):
    good = encode_output(GOOD + "«<|im_end|>»")
    fake = FakeUpstream(tokenizer, steered(good, encode_output("Sure: " + GOOD)))
    if owner == "vllm":
        fake.output = lambda done, body: good[len(done) :] if "structured_outputs" in body else []
    fake.card["owned_by"] = owner
    wanted = ChatRequest(MESSAGES, max_tokens=99, response_format=JsonFormat(SCHEMA))
    answer, _ = ask(tokenizer, wanted, fake, masks=masks)
    assert (answer.content, answer.finish_reason) == (GOOD, "stop")


def test_scores_of_a_forced_call_are_the_models_for_every_token(tokenizer, encode_output, masks):
    good = encode_output(BEGIN + HEAD + GOOD + END)
    fake = FakeUpstream(tokenizer, steered(good, encode_output("I will not.«<|im_end|>»")))
    wanted = request(tool_choice="required", logprobs=0)
    answer, _ = ask(tokenizer, wanted, fake, masks=masks)
    assert [score.logprob for score in answer.scores] == [-i / 1024 for i in good[:-1]]


class Letters:
    """Allows ids below `most`; takes back the ids in `unsaid`."""

    def __init__(self, most: int, unsaid: frozenset[int] = frozenset()) -> None:
        self.most, self.unsaid = most, unsaid

    def fill(self, allowed) -> bool:
        allowed[:] = 0
        for token_id in range(self.most):
            allowed[token_id // 32] |= np.int32(np.uint32(1 << (token_id % 32)).view(np.int32))
        return True

    def accept(self, token_id: int) -> bool:
        if token_id >= self.most:
            raise ValueError(token_id)
        return token_id not in self.unsaid


def test_few_allowed_ids_are_asked_for_and_of_many_the_refused_are_warded_off():
    for most in (3, FEW, FEW + 1, 300):
        walk = MaskWalk(Letters(most), 512)
        assert walk.take(1)
        assert not walk.bias()
        assert not walk.take(400)
        assert not walk.take(5000)
        few = most <= FEW
        wanted = dict.fromkeys(range(most), 100.0) if few else {400: -100.0, 5000: -100.0}
        assert walk.bias() == wanted
        assert walk.take(2)
        assert not walk.went_wrong


def test_an_id_that_is_taken_back_counts_as_refused():
    walk = MaskWalk(Letters(400, frozenset({7})), 512)
    assert not walk.take(7)
    assert walk.bias() == {7: -100.0}
    assert walk.only() is None
    assert MaskWalk(Letters(1), 512).only() == 0
    assert MaskWalk(Letters(2), 512).only({0, 1, 9}, 1) == 1
    assert MaskWalk(Letters(3), 512).only({0, 1, 9}, 1) is None
    assert MaskWalk(None, 512).take(99)
