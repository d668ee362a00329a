"""Which model of an endpoint is checked."""

import asyncio
import json

import httpx
import pytest

from openk2.verify import Endpoint, UnusableEndpointError, find_model


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
