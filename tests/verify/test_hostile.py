"""Endpoints that send anything: the report is made, in bounded memory and time, and is harmless."""

import asyncio
import gzip
import json
import random
import time
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
from rich.console import Console

from openk2.verify import CHECKS, Endpoint, Probe, Report, result_table, verify_endpoint
from openk2.verify.checks.scores import loops
from openk2.verify.wire.endpoint import EndpointFault

COMMANDS = "\x1b]0;owned\x07\x1b[2J\u202e"


class Sends(httpx.AsyncBaseTransport):
    """Answers every request with these pieces, again and again if endless."""

    def __init__(
        self, *pieces: bytes, endless: bool = False, pause: float = 0.0, **headers: str
    ) -> None:
        self.pieces, self.endless, self.pause = pieces, endless, pause
        self.headers = {"content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=self.headers, content=self.body())

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            for piece in self.pieces:
                yield piece
                await asyncio.sleep(self.pause)
            if not self.endless:
                return


def verified(transport: httpx.AsyncBaseTransport, *only: str, seconds: float = 5) -> Report:
    async def run() -> Report:
        async with Endpoint("http://k2", transport=transport, answer_seconds=seconds) as endpoint:
            checks = [check for check in CHECKS if not only or check.name in only]
            return await verify_endpoint(Probe(endpoint, "k2"), checks)

    return asyncio.run(run())


def completion(arguments: str, name: str = "get_weather", content: object = None) -> bytes:
    call = {
        "id": "functions.x:0",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    message = {"role": "assistant", "content": content, "tool_calls": [call]}
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    answer = {"id": "a", "object": "chat.completion", "usage": usage}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    return json.dumps({**answer, "choices": [choice]}).encode()


BODIES = {
    "deep arguments": completion("[" * 100_000),
    "deep and whole arguments": completion("[" * 100_000 + "]" * 100_000),
    "arguments of 5000 digits": completion('{"city": %s}' % ("9" * 5000)),
    "arguments of 1e999": completion('{"city": 1e999}'),
    "deep": b"[" * 100_000,
    "content that is a list": completion("{}", content=[1]),
    "usage of 1e999": completion("{}").replace(b'"prompt_tokens": 5', b'"prompt_tokens": 1e999'),
    "no object": b"[]",
    "choices of numbers": b'{"choices": [1]}',
    "calls that are a number": b'{"choices": [{"message": {"tool_calls": 5}}]}',
    "a function that is a list": b'{"choices": [{"message": {"tool_calls": [{"function": []}]}}]}',
}


@pytest.mark.parametrize("kind", BODIES)
def test_the_report_is_made_whatever_an_answer_holds(kind: str) -> None:
    report = verified(Sends(BODIES[kind]))
    assert len(report.results) == len(CHECKS)
    assert not report.passed


def test_an_answer_without_end_is_cut_in_bounded_memory() -> None:
    tracemalloc.start()
    report = verified(Sends(b" " * 1_000_000, endless=True), "answer-form", seconds=60)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 300_000_000
    assert "larger than" in report.results[0].outcome.seen


def test_an_answer_that_trickles_ends_and_after_some_nothing_more_is_asked() -> None:
    began = time.monotonic()
    report = verified(Sends(b": alive\n\n", endless=True, pause=0.02), seconds=0.3)
    assert time.monotonic() - began < 15
    assert not report.passed
    assert report.requests > 3
    assert any("not asked any more" in result.outcome.seen for result in report.results)


def test_compression_is_refused_unread() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    report = verified(Sends(bomb, content_encoding="gzip"), "answer-form")
    assert "compressed" in report.results[0].outcome.seen


def test_commands_of_an_endpoint_do_not_reach_the_terminal() -> None:
    bodies = [
        completion(json.dumps({"city": COMMANDS}), COMMANDS, COMMANDS),
        completion(COMMANDS, COMMANDS),
        COMMANDS.encode(),
        json.dumps({"choices": [{"message": {"role": COMMANDS}}]}).encode(),
    ]
    for body in bodies:
        report = verified(Sends(body, content_type=f"text/x{COMMANDS!r}"))
        console = Console(width=200, record=True, force_terminal=False)
        with console.capture() as capture:
            console.print(result_table(report))
        for character in "\x1b\x07\u202e":
            assert character not in capture.get()


class CountsOneMore(httpx.AsyncBaseTransport):
    """Counts every prompt as a token longer than the one before, however long it is."""

    def __init__(self) -> None:
        self.asked, self.bytes = 4, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.bytes += len(request.content)
        answer = json.loads(completion("{}"))
        answer["usage"]["prompt_tokens"] = self.asked
        return httpx.Response(200, json={**answer, "data": []})


def test_a_wrong_count_does_not_make_prompts_of_megabytes() -> None:
    endpoint = CountsOneMore()
    (result,) = verified(endpoint, "depth").results
    assert result.outcome.status == "skip"
    assert endpoint.bytes < 100_000


def test_an_answer_of_megabytes_is_looked_through_for_loops_in_no_time() -> None:
    text = "".join(random.Random(0).choices("abcdefgh", k=400_000))
    begun = time.monotonic()
    assert not loops(text)
    assert time.monotonic() - begun < 0.5


def test_the_scores_of_a_long_prompt_are_read_and_as_much_for_a_short_one_is_not() -> None:
    # 235,000 tokens of a prompt of 1.1 MB: vLLM's answer with five likeliest each has 50 MB.
    piece = b" " * 1_000_000

    async def asked(prompt: str) -> int:
        async with Endpoint("http://k2", transport=Sends(*[piece] * 50)) as endpoint:
            return len((await endpoint.post("/completions", {"prompt": prompt})).body)

    assert asyncio.run(asked("a" * 1_100_000)) == 50_000_000
    with pytest.raises(EndpointFault, match="larger than"):
        asyncio.run(asked("a"))
