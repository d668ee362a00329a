"""Faults of engines and of what stands before them, each as a context manager over a `Served`."""

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest import mock

import torch

from openk2.engine import step
from openk2.generation import K2Format, RawCompletion
from openk2.model import context
from openk2.model.rope import inverse_frequencies, rotation
from verify.checks.numeric_server import EXPERT, ORIGINAL


@contextmanager
def expert_weighs(served, factor, where):
    """The contribution of one expert times `factor` in steps where `where(rows)` is true."""
    right = served.experts.forward

    def wrong(x, weights, chosen):
        if where(len(x)):
            weights = torch.where(chosen == EXPERT, weights * factor, weights)
        return right(x, weights, chosen)

    # One call for all layers would not come by here.
    without_stack = mock.patch.object(type(served.model), "stack", None)
    with without_stack, mock.patch.object(served.experts, "forward", wrong):
        yield


@contextmanager
def expert_lost_in_large_batches(served):
    scheduler = served.engine._scheduler
    with expert_weighs(served, 0.0, lambda rows: len(scheduler.running) > 8):
        yield


@contextmanager
def expert_twice_in_prefill(served):
    with expert_weighs(served, 2.0, lambda rows: rows > 8):
        yield


@contextmanager
def expert_lost(served):
    with expert_weighs(served, 0.0, lambda rows: True):
        yield


class Ranks:
    """Two data-parallel ranks that take turns; the second computes with a wrong expert."""

    def __init__(self, served, second):
        self.ranks, self.number = (served.engine, second), 0
        self.context_length = served.engine.context_length

    async def generate(self, prompt, params, mask=None):
        self.number += 1
        async for chunk in self.ranks[self.number % 2].generate(prompt, params, mask):
            yield chunk


@contextmanager
def one_rank_of_two_is_wrong(served):
    second = served.new_engine()
    broken = second._thread

    def on_second(rows):
        import threading

        return threading.current_thread() is broken

    served.raw_tokens = served.chat_tokens = Ranks(served, second)
    try:
        with expert_weighs(served, 0.0, on_second):
            yield
    finally:
        second.stop()


def nan_logits(served, long):
    """NaN in the logits of steps that compute more than `long` tokens."""
    head = served.model.lm_head
    right, network = head.forward, served.model.forward
    seen = {"rows": 0}

    def forward(tokens, **fields):
        seen["rows"] = tokens.numel()
        return network(tokens, **fields)

    def wrong(hidden):
        logits = right(hidden)
        return logits * float("nan") if seen["rows"] > long else logits

    stack = ExitStack()
    stack.enter_context(mock.patch.object(head, "forward", wrong))
    stack.enter_context(mock.patch.object(served.model, "forward", forward))
    return stack


@contextmanager
def nan_in_long_prompts(served):
    """Our engine ends such a request with an error."""
    with nan_logits(served, 150):
        yield


@contextmanager
def nan_unseen(served):
    """An engine that does not look samples token 0."""
    looks = {"hopeless_rows": lambda logits: [], "not_finite": lambda chunks, hidden: {}}
    with nan_logits(served, 0), ExitStack() as stack:
        for name, blind in looks.items():
            stack.enter_context(mock.patch.object(step, name, blind))
        yield


class Cut:
    """Reads the last `kept` tokens of a prompt; counts are of the whole.

    scored: the head gets scores of its own, so that nothing shows in a list of them.
    """

    def __init__(self, served, kept, scored):
        self.engine, self.kept, self.scored = served.engine, kept, scored
        self.context_length = served.engine.context_length

    async def generate(self, prompt, params, mask=None):
        head, tail = prompt[: -self.kept], prompt[-self.kept :]
        scores = await self.head_scores(head, params)
        async for chunk in self.engine.generate(tail, params, mask):
            if chunk.prompt_logprobs is not None and head:
                first = scores[-1] if self.scored else None
                found = (*scores, first, *chunk.prompt_logprobs[1:])
                chunk = replace(chunk, prompt_logprobs=found)
            yield chunk

    async def head_scores(self, head, params):
        if not head or params.prompt_logprobs is None:
            return ()
        if not self.scored:
            return (None,) * len(head)
        asked = replace(params, max_tokens=0)
        chunks = [chunk async for chunk in self.engine.generate(head, asked)]
        return chunks[0].prompt_logprobs


@contextmanager
def head_dropped(served):
    served.raw_tokens = served.chat_tokens = Cut(served, 200, scored=False)
    yield


@contextmanager
def head_forgotten(served):
    served.raw_tokens = served.chat_tokens = Cut(served, 200, scored=True)
    yield


@contextmanager
def head_dropped_before_counting(served):
    class Cutting(RawCompletion):
        def encode(self, prompt):
            return super().encode(prompt)[-200:]

    served.raw = Cutting
    yield


def turned(served, turn):
    """Another rope for this model; that of the reference in this process stays as it is."""

    def either(config, frequencies, positions):
        which = turn if config is served.model.config else rotation
        return which(config, frequencies, positions)

    return mock.patch.object(context, "rotation", either)


def beyond(positions, right, other, start=ORIGINAL):
    """The other cos and sin from the original window on."""
    far = (positions >= start)[..., None]
    return tuple(torch.where(far, o, r) for r, o in zip(right, other, strict=True))


@contextmanager
def rope_factor_ignored(served):
    """Every position is turned as if config.json had no rope_scaling."""

    def wrong(config, frequencies, positions):
        plain = replace(config, rope_scaling=None)
        return rotation(plain, inverse_frequencies(plain), positions)

    with turned(served, wrong):
        yield


@contextmanager
def rope_factor_ignored_when_long(served):
    """The same from the original window on."""

    def wrong(config, frequencies, positions):
        plain = replace(config, rope_scaling=None)
        other = rotation(plain, inverse_frequencies(plain), positions)
        return beyond(positions, rotation(config, frequencies, positions), other)

    with turned(served, wrong):
        yield


@contextmanager
def rope_scaled_twice_when_long(served):
    """From the original window on, all frequencies are multiplied by 16 instead of divided."""

    def wrong(config, frequencies, positions):
        other = rotation(config, 16 * frequencies, positions)
        return beyond(positions, rotation(config, frequencies, positions), other)

    with turned(served, wrong):
        yield


@contextmanager
def slow_pairs_not_interpolated_when_long(served):
    """The rope of a model whose slow pairs were interpolated by 32, the factor ignored from 256
    tokens on; for a model whose own frequencies are taken for the interpolated ones."""

    def wrong(config, frequencies, positions):
        fast = torch.arange(len(frequencies)) < len(frequencies) // 8
        ignored = torch.where(fast, frequencies, 32 * frequencies)
        right, other = (rotation(config, some, positions) for some in (frequencies, ignored))
        return beyond(positions, right, other, 256)

    with turned(served, wrong):
        yield


class Twice(K2Format):
    """The prompt becomes the user's words of another prompt."""

    def __init__(self, served):
        super().__init__(served.tokenizer)
        self.text = served.tokenizer.decode

    def encode(self, messages, tools, **fields):
        ids, calls = super().encode(messages, tools, **fields)
        return self.again(ids), calls

    def again(self, ids):
        inner = self.text(ids).replace("<|", "<").replace("|>", ">")
        return super().encode([{"role": "user", "content": inner}], [])[0]


@contextmanager
def second_template(served):
    served.format = Twice(served)
    yield


class TwiceUnseen:
    """A second template where nothing counts any more."""

    def __init__(self, served):
        self.engine, self.again = served.engine, Twice(served).again
        self.context_length = served.engine.context_length

    async def generate(self, prompt, params, mask=None):
        async for chunk in self.engine.generate(self.again(prompt), params, mask):
            yield chunk


@contextmanager
def second_template_uncounted(served):
    served.chat_tokens = TwiceUnseen(served)
    yield


@contextmanager
def bos_twice(served):
    class Begun(K2Format):
        def encode(self, messages, tools, **fields):
            ids, calls = super().encode(messages, tools, **fields)
            return [served.tokenizer.special("[BOS]")] * 2 + ids, calls

    served.format = Begun(served.tokenizer)
    yield


@contextmanager
def bos_in_raw_prompts(served):
    class Begun(RawCompletion):
        def encode(self, prompt):
            return [served.tokenizer.special("[BOS]"), *super().encode(prompt)]

    served.raw = Begun
    yield


@contextmanager
def system_prompt_injected(served):
    class Injected(K2Format):
        def encode(self, messages, tools, **fields):
            added = {"role": "system", "content": "Never speak about the river."}
            return super().encode([added, *messages], tools, **fields)

    served.format = Injected(served.tokenizer)
    yield


@contextmanager
def nothing(served):
    yield


def noise_of_bfloat16(generator):
    """Logits as an engine on a GPU has them: in bfloat16, and never twice the same."""

    @contextmanager
    def noisy(served):
        right = served.model.lm_head.forward

        def forward(hidden):
            logits = right(hidden)
            noise = torch.randn(logits.shape, generator=generator)
            return (logits + 0.03 * noise).bfloat16().float()

        with mock.patch.object(served.model.lm_head, "forward", forward):
            yield

    return noisy


# Fault -> the checks that find it, what one of them says, and some that must not fail.
TEMPLATE = ("long-context", "depth")
ALONE = {
    expert_lost_in_large_batches: ({"batch"}, "larger batches", ("prefill-decode", "repeatable")),
    expert_twice_in_prefill: (
        {"batch", "prefill-decode"},
        "Prefill and decode compute different things",
        ("repeatable",),
    ),
    one_rank_of_two_is_wrong: ({"repeatable"}, "replicas or ranks computes", ("prompt-count",)),
    nan_in_long_prompts: ({"nan-signs"}, "NaN or infinity", ("logprob-range",)),
    nan_unseen: ({"nan-signs", "logprob-range"}, "times token 0", ()),
    head_dropped: ({"long-context"}, "the first 2", ("depth", "prompt-count")),
    head_forgotten: ({"long-context"}, "a code at the beginning adds", ("prompt-count",)),
    head_dropped_before_counting: ({"long-context"}, "is counted as 200", ("prompt-count",)),
    rope_scaled_twice_when_long: ({"depth"}, "log-probability falls by", ("prefill-decode",)),
    second_template: ({"prompt-count"}, "a second template", TEMPLATE),
    second_template_uncounted: ({"chat-equals-raw"}, "a second template", ("prompt-count",)),
    bos_twice: ({"prompt-count"}, "2 tokens too many: BOS", ("chat-equals-raw",)),
    bos_in_raw_prompts: ({"prompt-count"}, "raw prompts have 1 tokens", ("chat-equals-raw",)),
    system_prompt_injected: ({"prompt-count"}, "a system prompt", ("chat-equals-raw",)),
}
WITH_A_REFERENCE = {
    expert_lost: "an expert missing",
    rope_factor_ignored: "a wrong rope",
    rope_factor_ignored_when_long: "the scores differ",
    rope_scaled_twice_when_long: "from token 128 on the scores differ",
}
