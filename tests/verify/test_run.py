"""Which model of an endpoint is checked, and what runs beside what."""

import asyncio
import json

import httpx
import pytest

from openk2.verify import (
    Check,
    CheckOutcome,
    Endpoint,
    Probe,
    UnusableEndpointError,
    find_model,
    verify_endpoint,
)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"{}", "give its key as --api-key"),
        (404, b"{}", "name one with --model"),
        (200, b'{"data": []}', "name one with --model"),
        (200, b"<html>", "name one with --model"),
    ],
)
def test_an_endpoint_without_models_is_unusable(status, body, said):
    async def run():
        transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
        async with Endpoint("http://fake", transport=transport) as endpoint:
            await find_model(endpoint, None)

    with pytest.raises(UnusableEndpointError, match=said):
        asyncio.run(run())


def test_the_first_model_is_taken_unless_one_is_named():
    listed = json.dumps({"data": [{"id": "one"}, {"id": "two"}]})

    async def run(wanted):
        transport = httpx.MockTransport(lambda request: httpx.Response(200, text=listed))
        async with Endpoint("http://fake", transport=transport) as endpoint:
            return await find_model(endpoint, wanted)

    assert asyncio.run(run(None)) == "one"
    assert asyncio.run(run("other")) == "other"


def test_a_check_that_measures_alone_has_nothing_beside_it():
    running: list[str] = []
    seen: dict[str, int] = {}

    def check(name, *, alone=False):
        async def run(probe):
            running.append(name)
            await asyncio.sleep(0.01)
            seen[name] = len(running)
            running.remove(name)
            return CheckOutcome("pass", "1", "fine.")

        return Check(name, name, run, alone)

    async def run():
        checks = [check("a"), check("first", alone=True), check("b"), check("second", alone=True)]
        async with Endpoint("http://fake", transport=httpx.MockTransport(lambda r: None)) as fake:
            return await verify_endpoint(Probe(fake, "m"), checks)

    report = asyncio.run(run())
    assert [result.name for result in report.results] == ["a", "first", "b", "second"]
    assert seen == {"a": 2, "b": 1, "first": 1, "second": 1}
