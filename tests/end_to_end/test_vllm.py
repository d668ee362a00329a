"""A real vLLM behind `openk2 serve --upstream`: the same tokens, and demands obeyed.

OPENK2_VLLM names vLLM's own environment; `make test-vllm` installs one and runs this.
"""

import asyncio
import json
import os
import re
from pathlib import Path

import httpx
import pytest
import torch
from jsonschema import Draft202012Validator

from openk2.checkpoint import export_checkpoint
from openk2.gateway import Upstream, UpstreamPool, UpstreamTokens
from openk2.pretrained import find_folder, open_model
from openk2.protocol import SamplingParams
from openk2.synthesis import generate

VENV = os.environ.get("OPENK2_VLLM")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2, "maxLength": 20},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
JSON_FORM = {
    "type": "json_schema",
    "json_schema": {"name": "a", "strict": True, "schema": SCHEMA},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(VENV is None, reason="OPENK2_VLLM names no environment with vLLM"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The built-in model as other engines read it."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_checkpoint(find_folder("openk2-nano"), folder)
    return folder


@pytest.fixture(scope="module")
def behind(exported):
    """vLLM's URL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        from vllm_server import vllm
    with vllm(Path(VENV), exported, dtype="float32") as url:
        yield url


@pytest.fixture(scope="module")
def front(behind, exported):
    """The URL of a gateway before it, a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        from served import serving
    options = ["--upstream", behind, "--upstream-model", "k2", "--tokenizer", str(exported)]
    with serving(*options) as server:
        yield server.url


def test_greedy_tokens_are_those_of_our_engine(exported, behind):
    pool = UpstreamPool([Upstream(behind, "k2")])
    pool.probe()
    with open_model(exported, dtype=torch.float32) as model:
        upstream = UpstreamTokens(pool, model.tokenizer, 4096)
        prompts = []
        for conversation in generate(20261128, 8, "held_out"):
            first_turn = conversation["messages"][:1]
            prompts.append(model.chat.encode(first_turn, conversation["tools"])[0])

        async def read(generator, prompt):
            params = SamplingParams(32, temperature=0, stop_token_ids=model.chat.stop_ids)
            chunks = generator.generate(prompt, params)
            return [token async for chunk in chunks for token in chunk.token_ids]

        async def both():
            ours = await asyncio.gather(*(read(model.engine, prompt) for prompt in prompts))
            theirs = await asyncio.gather(*(read(upstream, prompt) for prompt in prompts))
            return ours, theirs

        ours, theirs = asyncio.run(both())
    assert len({tuple(ids) for ids in ours}) > 4  # they say something
    assert theirs == ours


def ask(front, **fields):
    body = {"model": "k2", "messages": [{"role": "user", "content": "Weather in Oslo?"}], **fields}
    answer = httpx.post(f"{front}/chat/completions", json=body, timeout=300)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]


@pytest.mark.parametrize(("temperature", "seed"), [(0, 0), (1, 1), (1, 2), (1, 3)])
def test_demands_are_obeyed_in_one_request_an_answer(front, temperature, seed):
    settings = {"seed": seed, "temperature": temperature, "max_tokens": 200}
    named = {"type": "function", "function": {"name": "get_weather"}}
    before = asked(front)
    choice = ask(front, tools=[TOOL], tool_choice=named, **settings)
    [call] = choice["message"]["tool_calls"]
    assert call["id"] == "functions.get_weather:0"
    Draft202012Validator(SCHEMA).validate(json.loads(call["function"]["arguments"]))
    choice = ask(front, response_format=JSON_FORM, **settings)
    Draft202012Validator(SCHEMA).validate(json.loads(choice["message"]["content"]))
    # Unguided, a sample of this model breaks such a schema, and every break is a request more.
    assert asked(front) - before == 2


def test_one_of_several_tools_is_called_as_its_schema_has_it(front):
    tools = [TOOL, {"type": "function", "function": {"name": "get_time", "parameters": SCHEMA}}]
    before = asked(front)
    choice = ask(front, tools=tools, tool_choice="required", parallel_tool_calls=False)
    [call] = choice["message"]["tool_calls"]
    assert call["function"]["name"] in ("get_weather", "get_time")
    Draft202012Validator(SCHEMA).validate(json.loads(call["function"]["arguments"]))
    assert asked(front) - before == 2  # which tool, and its arguments


def asked(front):
    """How many requests the gateway has sent to vLLM."""
    text = httpx.get(f"{front.removesuffix('/v1')}/metrics").text
    [count] = re.findall(r"^openk2_engine_upstream_0_asked (\S+)$", text, re.MULTILINE)
    return float(count)
