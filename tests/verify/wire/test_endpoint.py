"""The way to the endpoint: what is read, what is retried, and that nothing it says is a crash."""

import asyncio

import httpx
import pytest

from openk2.verify import (
    CHECKS,
    Endpoint,
    Probe,
    verify_endpoint,
)
from openk2.verify.wire import endpoint as endpoint_module

ODD = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"7",
    b"{}",
    b'{"choices": null}',
    b'{"choices": [7], "usage": 3}',
    b'{"choices": [{"message": "text"}], "content": [7]}',
    b'{"choices": [{"message": {"content": 7, "tool_calls": [{"function": 3}]}}]}',
    b'{"choices": [{"message": {"content": "hi"}, "finish_reason": []}]}',
    b'{"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": "7"}}',
    b'{"error": "text"}',
    b'{"content": [{"type": "tool_use"}], "stop_reason": 7}',
    b"[" * 100_000,
]
ODD_EVENTS = [
    b"data: 7\n\n",
    b"data: {\n\n",
    b"data: [DONE]\n\n",
    b'data: {"choices": 7}\n\n',
    b'data: {"choices": [{"delta": 7}]}\n\n',
    b'data: {"choices": [{"delta": {"tool_calls": [{"index": []}]}}], "id": {}}\n\n',
    b'data: {"error": {"message": "late"}}\n\n',
    b'event: message_start\ndata: {"type": "message_start", "message": 7}\n\n',
    b'event: content_block_delta\ndata: {"type": [], "delta": 3}\n\n',
]


def answering(handler, checks=CHECKS, **options):
    """The report on a handler of httpx requests."""

    async def run():
        transport = httpx.MockTransport(handler)
        async with Endpoint("http://fake", transport=transport, **options) as endpoint:
            return await verify_endpoint(Probe(endpoint, "m"), checks)

    return asyncio.run(run())


@pytest.mark.parametrize("body", ODD)
@pytest.mark.parametrize("status", [200, 400])
def test_odd_answers_fail_checks_and_crash_nothing(body, status):
    def handler(request):
        return httpx.Response(status, headers={"content-type": "application/json"}, content=body)

    report = answering(handler)
    assert not report.passed
    assert len(report.results) == len(CHECKS)


@pytest.mark.parametrize("body", ODD_EVENTS)
def test_odd_streams_fail_checks_and_crash_nothing(body):
    def handler(request):
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    report = answering(handler)
    failed = {result.name for result in report.results if result.outcome.status == "fail"}
    assert {"stream-form", "anthropic-stream"} <= failed


def test_a_lost_connection_fails_the_check_with_its_reason():
    def handler(request):
        raise httpx.ReadTimeout("no bytes for 1 s")

    [result] = answering(handler, CHECKS[:1]).results
    assert result.outcome.status == "fail"
    assert "gave no answer: no bytes for 1 s" in result.outcome.seen


def test_a_busy_server_is_asked_again(monkeypatch):
    monkeypatch.setattr(endpoint_module, "LONGEST_PAUSE", 0.0)
    statuses = [429, 503, 200]

    def handler(request):
        return httpx.Response(statuses.pop(0), headers={"retry-after": "60"}, content=b"{}")

    async def run():
        async with Endpoint("http://fake", transport=httpx.MockTransport(handler)) as endpoint:
            return await endpoint.post("/x", {})

    assert asyncio.run(run()).status == 200
    assert statuses == []


def test_no_more_requests_are_in_flight_than_asked_for():
    now = most = 0

    async def handler(request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            await asyncio.sleep(0.001)
        finally:
            now -= 1
        return httpx.Response(400, content=b"{}")

    answering(handler, concurrency=3)
    assert most == 3


def test_the_key_is_sent_as_both_interfaces_want_it():
    seen = []

    def handler(request):
        seen.append(request.headers)
        return httpx.Response(400, content=b"{}")

    answering(handler, CHECKS[:1], api_key="secret")
    assert seen[0]["authorization"] == "Bearer secret"
    assert seen[0]["x-api-key"] == "secret"
