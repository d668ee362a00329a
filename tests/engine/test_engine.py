import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest
import torch

from openk2.engine import Engine, EngineError
from openk2.model import K2Model
from openk2.protocol import EngineBusyError, SamplingParams, TokenChunk

PAGE = 4

Greedy = Callable[[Sequence[int], int], list[int]]
Read = Callable[[Engine, Sequence[int], SamplingParams], Awaitable[list[TokenChunk]]]
Outputs = Callable[..., list[list[int]]]


def greedy(max_tokens: int, *stop: int) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, temperature=0, stop_token_ids=frozenset(stop))


def prompt(length: int, seed: int = 0) -> list[int]:
    random = torch.Generator().manual_seed(length * 1000 + seed)
    return torch.randint(48, (length,), generator=random).tolist()


def wait_until(condition: Callable[[], bool]) -> None:
    """A worker's next step takes milliseconds; ten seconds without it is a hang."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited 10 s in vain"
        time.sleep(0.001)


def idle(engine: Engine) -> bool:
    stats = engine.stats()
    return stats.free_pages == stats.pages and not stats.running and not stats.waiting


def test_concurrent_prompts_get_what_each_would_get_from_a_plain_loop(
    engine: Engine, outputs: Outputs, plain_greedy: Greedy
) -> None:
    lengths = [1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE - 1, 1, 11]
    asked = [(prompt(length), greedy(3 + i)) for i, length in enumerate(lengths)]
    expected = [plain_greedy(ids, params.max_tokens) for ids, params in asked]
    assert outputs(engine, *asked) == expected
    assert idle(engine)


def test_bfloat16_weights_and_cache_are_served(model: K2Model, outputs: Outputs) -> None:
    half = K2Model(model.config)
    half.load_state_dict(model.state_dict())
    engine = Engine(half.to(torch.bfloat16), pages=16, page_size=PAGE, max_batch=4)
    engine.start()
    first, second = outputs(engine, (prompt(5), greedy(6)), (prompt(6), greedy(6)))
    engine.stop()
    assert len(first) == len(second) == 6


@pytest.mark.parametrize("step_tokens", [1, 3, 64])
def test_chunks_shared_pages_and_preemption_change_no_token(
    model: K2Model, outputs: Outputs, plain_greedy: Greedy, step_tokens: int
) -> None:
    engine = Engine(model, pages=12, page_size=PAGE, max_batch=4, step_tokens=step_tokens)
    engine.start()
    base = prompt(17)
    asked = [(base[: 9 + i], greedy(6 + 2 * i)) for i in range(6)] + [(base, greedy(30))] * 2
    expected = [plain_greedy(ids, params.max_tokens) for ids, params in asked]
    assert outputs(engine, *asked) == expected
    assert outputs(engine, *asked) == expected
    stats = engine.stats()
    assert stats.preemptions > 0
    assert stats.cached_tokens > 0
    assert idle(engine)
    engine.stop()


def test_log_probabilities_are_the_models_own(engine: Engine, read: Read, model: K2Model) -> None:
    ids = prompt(11)
    params = SamplingParams(
        max_tokens=3, temperature=0, logprobs=2, prompt_logprobs=1, logit_bias={5: 100.0}
    )
    for _ in range(2):  # the second time the prompt is in the cache
        chunks = asyncio.run(read(engine, ids, params))
        scores = chunks[0].prompt_logprobs
        assert scores is not None
        assert all(chunk.prompt_logprobs is None for chunk in chunks[1:])
        told = [*scores, *(s for chunk in chunks for s in chunk.logprobs or ())]
        whole = [*ids, 5, 5, 5]
        with torch.inference_mode():
            hidden = model(torch.tensor([whole]))[0, :-1]
            plain = model.lm_head(hidden).log_softmax(-1)
        assert told[0] is None
        for place, score in enumerate(told[1:]):
            assert score is not None
            assert score.token_id == whole[place + 1]
            assert score.logprob == pytest.approx(float(plain[place, score.token_id]), abs=1e-4)
            best = plain[place].topk(len(score.top))
            assert [token for token, _ in score.top] == best.indices.tolist()
            assert [p for _, p in score.top] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_a_prompt_can_be_scored_without_any_output(engine: Engine, read: Read) -> None:
    [chunk] = asyncio.run(
        read(engine, prompt(9), SamplingParams(max_tokens=0, logprobs=1, prompt_logprobs=0))
    )
    assert (chunk.token_ids, chunk.finish_reason, chunk.logprobs) == ((), "length", ())
    assert chunk.prompt_logprobs is not None
    assert len(chunk.prompt_logprobs) == 9
    assert idle(engine)


def test_a_penalty_counts_what_this_request_has_said(engine: Engine, outputs: Outputs) -> None:
    once = SamplingParams(max_tokens=20, temperature=0, presence_penalty=2, frequency_penalty=2,
                          logit_bias=dict.fromkeys(range(20), 50.0))  # fmt: skip
    [ids] = outputs(engine, (prompt(5), once))
    plain = SamplingParams(max_tokens=20, temperature=0, logit_bias=once.logit_bias)
    [repeating] = outputs(engine, (prompt(5), plain))
    assert len(set(ids)) > len(set(repeating))


def test_a_seeded_request_gives_the_same_tokens_alone_and_among_others(
    engine: Engine, outputs: Outputs
) -> None:
    seeded = (prompt(6), SamplingParams(max_tokens=12, temperature=1.0, seed=5))
    noise = [(prompt(n), SamplingParams(max_tokens=4 + n, temperature=1.5)) for n in range(1, 7)]
    [alone] = outputs(engine, seeded)
    assert outputs(engine, *noise[:3], seeded, *noise[3:])[3] == alone
    other = (seeded[0], SamplingParams(max_tokens=12, temperature=1.0, seed=6))
    assert outputs(engine, other) != [alone]


def test_unseeded_requests_differ(engine: Engine, outputs: Outputs) -> None:
    free = (prompt(6), SamplingParams(max_tokens=20, temperature=2.0))
    first, second = outputs(engine, free, free)
    assert first != second


def test_a_stop_id_is_the_last_id_and_ends_the_request(
    engine: Engine, read: Read, plain_greedy: Greedy
) -> None:
    whole = plain_greedy(prompt(5), 8)
    stop = whole[4]
    chunks = asyncio.run(read(engine, prompt(5), greedy(8, stop)))
    ids = [i for chunk in chunks for i in chunk.token_ids]
    assert ids == whole[: whole.index(stop) + 1]
    assert [c.finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_max_tokens_ends_the_request(engine: Engine, read: Read, count: int) -> None:
    chunks = asyncio.run(read(engine, prompt(5), greedy(count)))
    assert sum(len(chunk.token_ids) for chunk in chunks) == count
    assert [c.finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["length"]


def test_many_requests_through_few_pages_all_finish(engine: Engine, outputs: Outputs) -> None:
    asked = [(prompt(1 + i % 9, i), greedy(1 + i % 13)) for i in range(50)]
    assert [len(ids) for ids in outputs(engine, *asked)] == [1 + i % 13 for i in range(50)]
    assert idle(engine)
    stats = engine.stats()
    assert stats.output_tokens == sum(1 + i % 13 for i in range(50))
    assert stats.prompt_tokens == sum(1 + i % 9 for i in range(50))


def test_closing_a_generator_frees_its_pages_and_leaves_others_alone(
    engine: Engine, read: Read, plain_greedy: Greedy
) -> None:
    async def scenario() -> list[int]:
        leaving = engine.generate(prompt(8), greedy(40))
        await anext(leaving)
        staying = asyncio.create_task(read(engine, prompt(4), greedy(6)))
        await asyncio.sleep(0)
        await leaving.aclose()
        return [i for chunk in await staying for i in chunk.token_ids]

    assert asyncio.run(scenario()) == plain_greedy(prompt(4), 6)
    assert idle(engine)


def test_a_cancelled_task_takes_its_waiting_request_out(model: K2Model, read: Read) -> None:
    gate, started = threading.Event(), threading.Event()
    engine = Engine(held(model, started, gate), pages=16, page_size=PAGE, max_batch=1)
    engine.start()

    async def scenario() -> None:
        first = asyncio.create_task(read(engine, prompt(4), greedy(2)))
        await asyncio.to_thread(started.wait, 10)
        second = asyncio.create_task(read(engine, prompt(4), greedy(2)))
        await asyncio.sleep(0)
        assert (engine.stats().running, engine.stats().waiting) == (1, 1)
        for task in (second, first):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # The step is still under way, the pages are free nevertheless.
        assert idle(engine)
        gate.set()
        assert len(await read(engine, prompt(4), greedy(2))) >= 1

    asyncio.run(scenario())
    engine.stop()


def test_a_failing_step_ends_its_requests_and_no_others(
    model: K2Model, outputs: Outputs, plain_greedy: Greedy, read: Read
) -> None:
    engine = Engine(failing(model, token=47), pages=16, page_size=PAGE, max_batch=4)
    engine.start()
    good = [i % 40 for i in range(6)]
    with pytest.raises(EngineError, match="a step failed: ZeroDivisionError: token 47") as caught:
        asyncio.run(read(engine, [1, 47], greedy(3)))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert idle(engine)
    assert outputs(engine, (good, greedy(1))) == [plain_greedy(good, 1)]
    assert engine.stats().failed_steps == 1
    engine.stop()


def test_nan_in_a_step_is_an_error_and_does_not_stay_in_the_pages(
    model: K2Model, outputs: Outputs, plain_greedy: Greedy, read: Read
) -> None:
    # Of two rows that decode together the shorter one is handed pages beyond its end, masked.
    asked = [(prompt(11), greedy(4)), (prompt(1), greedy(4))]
    expected = [plain_greedy(ids, 4) for ids, _ in asked]
    [bad, *_] = set(range(48)).difference(*expected, *(ids for ids, _ in asked))
    poisoned = copy_as(K2Model, model)
    with torch.no_grad():
        poisoned.model.embed_tokens.weight[bad] = torch.nan
    engine = Engine(poisoned, pages=6, page_size=PAGE, max_batch=4)
    engine.start()
    with pytest.raises(EngineError, match="NaN"):
        asyncio.run(read(engine, [bad] * 20, greedy(4)))
    assert outputs(engine, *asked) == expected
    engine.stop()


def test_stopping_the_engine_ends_requests_in_flight(model: K2Model, read: Read) -> None:
    started, gate = threading.Event(), threading.Event()
    engine = Engine(held(model, started, gate), pages=16, page_size=PAGE, max_batch=1)
    engine.start()

    async def scenario() -> None:
        tasks = [asyncio.create_task(read(engine, prompt(4), greedy(30))) for _ in range(3)]
        await asyncio.to_thread(started.wait, 10)
        gate.set()
        await asyncio.to_thread(engine.stop)
        for task in tasks:
            with pytest.raises(EngineError, match="the engine stopped"):
                await task

    asyncio.run(scenario())
    assert idle(engine)
    with pytest.raises(EngineError, match="not running"):
        asyncio.run(read(engine, prompt(4), greedy(2)))


def test_stopping_twice_and_starting_meanwhile_neither_hangs_nor_loses_the_engine(
    model: K2Model, read: Read
) -> None:
    started, gate = threading.Event(), threading.Event()
    engine = Engine(held(model, started, gate), pages=16, page_size=PAGE, max_batch=1)
    engine.start()
    errors: list[EngineError] = []

    def ask() -> None:
        with pytest.raises(EngineError) as caught:
            asyncio.run(read(engine, prompt(4), greedy(30)))
        errors.append(caught.value)

    threads = [threading.Thread(target=ask)]
    threads[0].start()
    assert started.wait(10)
    threads += [threading.Thread(target=engine.stop) for _ in range(2)]
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.05)
    assert all(thread.is_alive() for thread in threads), "stop() returns when the worker has ended"
    with pytest.raises(RuntimeError, match="runs already"):
        engine.start()
    with pytest.raises(EngineError, match="not running"):
        asyncio.run(read(engine, prompt(4), greedy(2)))
    gate.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert [str(error) for error in errors] == ["the engine stopped"]
    engine.start()
    assert asyncio.run(read(engine, prompt(4), greedy(2)))[-1].finish_reason == "length"
    engine.stop()


def test_a_generator_closed_before_it_is_read_was_never_queued(engine: Engine) -> None:
    async def scenario() -> None:
        unread = engine.generate(prompt(4), greedy(4))
        await unread.aclose()
        engine.generate(prompt(4), greedy(4))

    asyncio.run(scenario())
    assert idle(engine)
    assert engine.stats().steps == 0


def test_a_full_queue_is_busy_at_once(model: K2Model, read: Read) -> None:
    started, gate = threading.Event(), threading.Event()
    blocked = held(model, started, gate)
    engine = Engine(blocked, pages=16, page_size=PAGE, max_batch=1, max_waiting=1)
    engine.start()

    async def scenario() -> None:
        running = asyncio.create_task(read(engine, prompt(4), greedy(2)))
        await asyncio.to_thread(started.wait, 10)
        waiting = asyncio.create_task(read(engine, prompt(4), greedy(2)))
        await asyncio.sleep(0)
        with pytest.raises(EngineBusyError, match="1 requests are waiting"):
            await anext(engine.generate(prompt(4), greedy(2)))
        gate.set()
        await asyncio.gather(running, waiting)

    asyncio.run(scenario())
    engine.stop()


def test_readers_in_two_event_loops_share_an_engine(
    engine: Engine, outputs: Outputs, plain_greedy: Greedy
) -> None:
    results: dict[int, list[list[int]]] = {}

    def run(seed: int) -> None:
        results[seed] = outputs(engine, (prompt(5, seed), greedy(8)), (prompt(7, seed), greedy(8)))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, got in results.items():
        assert got == [plain_greedy(prompt(n, seed), 8) for n in (5, 7)]
    assert len(results) == 2


def test_a_reader_whose_loop_was_closed_is_cancelled(engine: Engine) -> None:
    loop = asyncio.new_event_loop()
    abandoned = engine.generate(prompt(4), greedy(60))
    loop.run_until_complete(anext(abandoned))
    loop.close()
    wait_until(lambda: idle(engine))


@pytest.mark.parametrize(
    ("ids", "max_tokens", "message"),
    [
        ([], 1, "the prompt is empty"),
        ([1] * 10, 55, "10 prompt tokens plus max_tokens 55 are 65, .* context length 64"),
        ([1, 48], 1, "holds id 48: this model's ids are 0 to 47"),
        ([-1], 1, "the prompt holds id -1"),
    ],
)
def test_a_request_that_can_never_run_is_refused_before_it_is_read(
    engine: Engine, ids: list[int], max_tokens: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        engine.generate(ids, greedy(max_tokens))


def test_a_bias_on_no_id_of_the_model_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="logit_bias holds id 48"):
        engine.generate([1], SamplingParams(max_tokens=1, logit_bias={48: 1.0}))


def test_the_context_is_what_model_pages_and_caller_allow(model: K2Model) -> None:
    assert Engine(model, pages=3, page_size=4, max_batch=1).context_length == 12
    assert Engine(model, pages=300, page_size=4, max_batch=1).context_length == 256
    small = Engine(model, pages=300, page_size=4, max_batch=1, context_length=100)
    assert small.context_length == 100
    with pytest.raises(ValueError, match="context_length is 13: 1 to 12 are possible"):
        Engine(model, pages=3, page_size=4, max_batch=1, context_length=13)


def test_a_request_may_fill_the_whole_context(
    engine: Engine, outputs: Outputs, plain_greedy: Greedy
) -> None:
    assert outputs(engine, (prompt(60), greedy(4))) == [plain_greedy(prompt(60), 4)]


def held(model: K2Model, started: threading.Event, gate: threading.Event) -> K2Model:
    """The model, but its steps say that they started and wait for the gate."""

    class Held(K2Model):
        def forward(self, *args: object, **kwargs: object) -> torch.Tensor:
            started.set()
            assert gate.wait(10)
            return super().forward(*args, **kwargs)  # type: ignore[arg-type]

    return copy_as(Held, model)


def failing(model: K2Model, token: int) -> K2Model:
    """The model, but a step that sees this token fails."""

    class Failing(K2Model):
        def forward(self, tokens: torch.Tensor, **kwargs: object) -> torch.Tensor:
            if (tokens == token).any():
                raise ZeroDivisionError(f"token {token}")
            return super().forward(tokens, **kwargs)  # type: ignore[arg-type]

    return copy_as(Failing, model)


def copy_as(kind: type[K2Model], model: K2Model) -> K2Model:
    copy = kind(model.config)
    copy.load_state_dict(model.state_dict())
    return copy
