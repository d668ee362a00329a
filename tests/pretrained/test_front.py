"""The front door: a model from ordinary Python, without an event loop."""

import asyncio
import inspect
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import openk2
from openk2.chat import CallArguments, CallEnd, CallStart, ContentDelta, RenderError
from openk2.engine import EngineError
from openk2.generation import ChatFinish, ChatRequest, PromptRead, RequestError, complete
from openk2.pretrained import DEFAULT_MODEL, LocalModelError
from openk2.pretrained.loop_thread import LoopThread
from openk2.protocol import SamplingParams

MESSAGES = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.fixture(scope="module")
def model(saved: Path):
    with openk2.load(saved, max_batch=8) as model:
        yield model


def test_importing_the_package_imports_no_room_of_it() -> None:
    code = (
        "import sys, openk2; print(*(m for m in sys.modules if m.startswith(('openk2', 'torch'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openk2"]


def test_the_default_is_the_built_in_instruct_model() -> None:
    assert inspect.signature(openk2.load).parameters["path_or_name"].default == DEFAULT_MODEL


def test_a_chat_is_the_answer_that_the_chat_generator_gives(model) -> None:
    settings = {"max_tokens": 12, "seed": 3, "tool_choice": "none"}
    answer = model.chat(MESSAGES, TOOLS, **settings)
    expected = asyncio.run(complete(model.local.chat, ChatRequest(MESSAGES, TOOLS, **settings)))
    assert answer.content == expected.content
    assert answer.completion_tokens == expected.completion_tokens
    history = [*MESSAGES, answer.message(), {"role": "user", "content": "and?"}]
    assert model.chat(history, max_tokens=1).prompt_tokens > answer.prompt_tokens


def test_a_stream_joins_to_the_chat(model) -> None:
    settings = {"max_tokens": 30, "seed": 5}
    answer = model.chat(MESSAGES, **settings)
    read, *events, finish = model.stream(MESSAGES, **settings)
    assert isinstance(finish, ChatFinish)
    assert isinstance(read, PromptRead)
    assert read.prompt_tokens == finish.prompt_tokens
    assert all(isinstance(e, ContentDelta | CallStart | CallArguments | CallEnd) for e in events)
    assert "".join(e.text for e in events if isinstance(e, ContentDelta)) == answer.content
    assert finish.reason == answer.finish_reason


def test_generate_gives_the_ids_with_what_was_asked_for(model) -> None:
    prompt = model.tokenizer.encode("hello")
    out = model.generate(prompt, max_tokens=5, temperature=0.0, stop_token_ids=frozenset())
    assert (len(out.token_ids), out.finish_reason, out.logprobs) == (5, "length", None)
    again = model.generate(
        prompt, max_tokens=5, temperature=0.0, stop_token_ids=frozenset(), logprobs=1,
        prompt_logprobs=0,
    )  # fmt: skip
    assert again.token_ids == out.token_ids
    assert [score.token_id for score in again.logprobs] == list(out.token_ids)
    assert [score.top[0][0] for score in again.logprobs] == list(out.token_ids)
    assert len(again.prompt_logprobs) == len(prompt)


def test_generate_scores_a_prompt_without_going_on(model) -> None:
    prompt = model.tokenizer.encode("hello")
    out = model.generate(prompt, max_tokens=0, prompt_logprobs=1)
    assert (out.token_ids, out.finish_reason) == ((), "length")
    first, *others = out.prompt_logprobs
    assert first is None
    assert [score.token_id for score in others] == prompt[1:]


def test_generate_stops_at_the_models_ends_and_fills_the_context(model) -> None:
    prompt = model.tokenizer.encode("x" * 500)
    out = model.generate(prompt, seed=1)
    assert out.finish_reason in ("stop", "length")
    assert len(out.token_ids) <= 12
    ends = frozenset(range(512))
    assert len(model.generate(prompt, stop_token_ids=ends, max_tokens=9).token_ids) == 1


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda m: m.chat([{"role": "owl"}]), RenderError),
        (lambda m: m.chat(MESSAGES, top_p=-0.5), RequestError),
        (lambda m: m.chat(MESSAGES, max_tokens=9999), RequestError),
        (lambda m: m.chat(MESSAGES, stop="END"), RequestError),
        (lambda m: m.chat(MESSAGES, temprature=1), TypeError),
        (lambda m: list(m.stream([{"role": "owl"}])), RenderError),
        (lambda m: m.generate([]), ValueError),
        (lambda m: m.generate([512]), ValueError),
        (lambda m: m.generate([1] * 512), RequestError),
        (lambda m: m.generate([1], max_tokens=0), ValueError),
    ],
)
def test_what_cannot_be_answered_raises_and_the_next_request_is_served(model, ask, error) -> None:
    with pytest.raises(error):
        ask(model)
    assert model.chat(MESSAGES, max_tokens=1).completion_tokens == 1


def test_leaving_a_stream_cancels_the_request(model) -> None:
    for event in model.stream(MESSAGES, max_tokens=400, seed=2):
        assert event is not None
        break
    events = model.stream(MESSAGES, max_tokens=400, seed=2)
    next(events)
    events.close()
    assert model.local.engine.stats().running == 0


def test_it_works_inside_a_running_event_loop_and_from_many_threads(model) -> None:
    async def inside():
        return model.chat(MESSAGES, max_tokens=2).completion_tokens

    assert 1 <= asyncio.run(inside()) <= 2
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: model.chat(MESSAGES, max_tokens=3, seed=i), range(8)))
    assert all(1 <= answer.completion_tokens <= 3 for answer in answers)


def test_a_closed_model_says_so_and_leaves_no_thread(saved: Path) -> None:
    before = threading.active_count()
    model = openk2.load(saved)
    events = model.stream(MESSAGES, max_tokens=400)
    next(events)
    model.close()
    model.close()
    with pytest.raises(RuntimeError, match="closed"):
        model.chat(MESSAGES)
    with pytest.raises((RuntimeError, EngineError)):
        list(events)
    assert threading.active_count() == before


PROGRAM = f"""
import os, sys, time, openk2
from openk2.generation import JsonFormat
folder, messages = sys.argv[1], {MESSAGES}
"""
WHILE_IT_GENERATES = """
model = openk2.load(folder)
events = model.stream(messages, max_tokens=400)
next(events), next(events)
"""
# JSON makes the request use the loop's threads; nothing but its events holds this model.
WHEN_THE_ANSWER_IS_THERE = """
events = openk2.load(folder).stream(messages, max_tokens=30, response_format=JsonFormat())
next(events)
time.sleep(0.5)
"""
IN_A_FORK = """
model = openk2.load(folder)
child = os.fork()
assert not child or os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("lines", [WHILE_IT_GENERATES, WHEN_THE_ANSWER_IS_THERE, IN_A_FORK])
def test_a_program_that_does_not_close_its_model_ends(saved: Path, lines: str) -> None:
    # Python 3.12 warns of a fork beside threads.
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM + lines, str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_path_that_does_not_exist_is_one_clear_line() -> None:
    with pytest.raises(LocalModelError, match="no/such/folder"):
        openk2.load("no/such/folder")


def test_closing_the_loop_cancels_what_runs() -> None:
    loop, began, ended = LoopThread(), threading.Event(), []

    async def long() -> None:
        began.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(True)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(loop.run, long())
        assert began.wait(10)
        loop.close()
        assert waiting.exception(10) is not None
    assert ended == [True]


def test_settings_of_sampling_have_the_same_names_everywhere() -> None:
    shared = {"temperature", "top_p", "top_k", "min_p", "seed", "logit_bias", "logprobs"}
    assert shared <= set(inspect.signature(SamplingParams).parameters)
    assert shared <= set(inspect.signature(ChatRequest).parameters)
