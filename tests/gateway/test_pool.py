"""Which upstream is asked, and how upstreams are found well or ill."""

import asyncio
import time
from collections import Counter

import pytest

from openk2.gateway import Upstream, UpstreamPool
from openk2.gateway.text import SpeltOutput
from openk2.protocol import EngineBusyError

from .upstreams import FakeUpstream


def pool_of(count: int, **options) -> UpstreamPool:
    upstreams = [Upstream(f"http://h{number}:1", "k2") for number in range(count)]
    return UpstreamPool(upstreams, **options)


def test_the_one_with_the_fewest_requests_is_asked():
    pool = pool_of(3)
    for _ in range(30):
        pool.pick((1, 2), Counter()).outstanding += 1
    assert [upstream.outstanding for upstream in pool.upstreams] == [10, 10, 10]


def test_prompts_that_begin_alike_go_to_the_same_one_and_others_spread():
    pool = pool_of(4)
    assert len({pool.pick((1, 2), Counter()) for _ in range(20)}) == 1
    assert len({pool.pick((number,), Counter()) for number in range(100)}) == 4


def test_what_failed_is_asked_last_and_what_is_ill_never():
    pool = pool_of(3)
    first = pool.pick((), Counter())
    second = pool.pick((), Counter([first]))
    second.fail("gone")
    third = pool.pick((), Counter([first]))
    assert len({first, second, third}) == 3
    third.fail("gone")
    assert pool.pick((), Counter([first])) is first
    first.fail("gone")
    assert not pool.healthy
    with pytest.raises(EngineBusyError):
        pool.pick((), Counter())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"health": 503}, "health is 503"),
        ({"card": {"id": "other"}}, "no model 'k2', but ['other']"),
        ({"card": 7}, "does not list models"),
    ],
)
def test_a_probe_says_what_is_wrong_and_when_it_no_longer_is(tokenizer, spoil, reason):
    async def run():
        async with FakeUpstream(tokenizer, [65]) as fake:
            kept = {name: getattr(fake, name) for name in spoil}
            upstream = Upstream(fake.url, "k2")
            for name, value in spoil.items():
                setattr(fake, name, value)
            await asyncio.to_thread(upstream.probe)
            assert not upstream.healthy
            assert reason in upstream.reason
            for name, value in kept.items():
                setattr(fake, name, value)
            await asyncio.to_thread(upstream.probe)
            assert (upstream.healthy, upstream.context_length) == (True, 5000)

    asyncio.run(run())


def test_probes_go_on_in_the_background_until_the_pool_is_closed(tokenizer):
    async def run():
        async with FakeUpstream(tokenizer, [65]) as fake:
            pool = UpstreamPool([Upstream(fake.url, "k2")], probe_every=0.01)
            pool.upstreams[0].fail("gone")
            with pool:
                deadline = time.monotonic() + 5
                while not pool.healthy:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.005)
                assert pool.context_length == 5000
                closing = asyncio.create_task(asyncio.to_thread(pool.__exit__, None, None, None))
                await closing

    asyncio.run(run())


def test_text_in_any_pieces_gives_ids_of_the_same_bytes(tokenizer):
    text = 'a <|tool_call_argument_begin|>{"b":"[EOS] \\" <|im_end|>"} <|tool_call_end|>[EO [EOS]'
    specials = [tokenizer.special(name) for name in (
        "<|tool_call_argument_begin|>", "<|tool_call_end|>", "[EOS]")]  # fmt: skip
    for size in (1, 2, 3, 7, 100):
        for resumed in range(0, 40, 3):
            ids: list[int] = []
            spelt = SpeltOutput(tokenizer)
            for start in range(0, len(text), size):
                ids += spelt.feed(text[start : start + size])
                if start // size == resumed and not spelt._held:
                    spelt = SpeltOutput(tokenizer, ids)  # a request that goes on from here
            ids += spelt.flush()
            assert tokenizer.decode(ids) == text
            assert [i for i in ids if tokenizer.is_special(i)] == specials
