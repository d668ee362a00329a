"""Outputs on their way to a reader: joined, in order, and not lost to closed loops."""

import asyncio

import pytest

from openk2.engine.output_queue import OutputQueue, deliver, join
from openk2.protocol import TokenChunk, TokenLogprobs


def scored(token: int) -> TokenLogprobs:
    return TokenLogprobs(token, -0.5, ())


def test_joined_chunks_have_all_tokens_and_scores_and_the_last_reason() -> None:
    first = TokenChunk((1,), None, (scored(1),), (None, scored(7)), 16)
    second = TokenChunk((2, 3), "stop", (scored(2), scored(3)))
    assert join([first]) is first
    assert join([first, second]) == TokenChunk(
        (1, 2, 3), "stop", (scored(1), scored(2), scored(3)), (None, scored(7)), 16
    )
    plain = join([TokenChunk((1,)), TokenChunk((2,), "length")])
    assert plain == TokenChunk((1, 2), "length")
    assert plain.logprobs is None


def test_what_waits_is_received_at_once_and_an_error_is_raised() -> None:
    async def scenario() -> None:
        queue, other = OutputQueue(), OutputQueue()
        sent = [TokenChunk((token,)) for token in range(3)]
        assert deliver([(queue, sent[0]), (other, sent[1]), (queue, sent[2])]) == []
        assert (await queue.receive()).token_ids == (0, 2)
        assert (await other.receive()).token_ids == (1,)
        deliver([(queue, sent[0]), (queue, ZeroDivisionError("why"))])
        with pytest.raises(ZeroDivisionError, match="why"):
            await queue.receive()

    asyncio.run(scenario())


def test_queues_of_a_closed_loop_are_named_and_the_others_are_served() -> None:
    closed = asyncio.new_event_loop()

    async def make() -> OutputQueue:
        return OutputQueue()

    gone = [closed.run_until_complete(make()) for _ in range(2)]
    closed.close()

    async def scenario() -> None:
        queue = OutputQueue()
        chunk = TokenChunk((5,), "stop")
        unreachable = deliver([(gone[0], chunk), (queue, chunk), (gone[1], chunk)])
        assert unreachable == gone
        assert await queue.receive() == chunk

    asyncio.run(scenario())
