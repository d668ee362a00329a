"""A correct endpoint of any published template is not called wrong: one server per style."""

import asyncio
import json

import httpx
import pytest

from openk2.chat import INSTRUCT, Tokenizer, canonical_history, encode_chat, train_tokenizer
from openk2.verify import CHECKS, Endpoint, Probe, verify_endpoint
from openk2.verify.passages import passage
from thinking_templates import STYLES

SIZED = [
    check
    for check in CHECKS
    if check.name.startswith("template-") or check.name in ("injection", "prompt-count")
]
ALL = {"instruct": INSTRUCT, **STYLES}


@pytest.fixture(scope="module")
def thinker() -> Tokenizer:
    return Tokenizer(train_tokenizer([passage("vocabulary", 4_000)], 640).tokens, thinking=True)


@pytest.fixture(scope="module")
def status_of(thinker):
    """The status of each check on an endpoint that counts prompts of a style. options: of Probe."""

    def check(served, begin=0, **options):
        def answer(request: httpx.Request) -> httpx.Response:
            body = json.loads(request.content)
            if "prompt" in body:
                size = len(thinker.encode(body["prompt"]))
                choice = {"index": 0, "text": "", "finish_reason": "length"}
            else:
                messages = canonical_history(body["messages"]).messages
                prompt = encode_chat(thinker, messages, body.get("tools") or (), style=served)
                size = begin + len(prompt.token_ids)
                choice = {"index": 0, "message": {"role": "assistant", "content": ""}}
            usage = {"prompt_tokens": size, "completion_tokens": 1, "total_tokens": size + 1}
            return httpx.Response(200, json={"choices": [choice], "usage": usage})

        async def run():
            transport = httpx.MockTransport(answer)
            async with Endpoint("http://fake", transport=transport) as endpoint:
                return await verify_endpoint(Probe(endpoint, "k2", **options), SIZED)

        return {r.name: (r.outcome.status, r.outcome.seen) for r in asyncio.run(run()).results}

    return check


@pytest.mark.parametrize("model", ALL)
def test_with_its_tokenizer_and_template_every_size_is_right(status_of, thinker, model):
    found = status_of(ALL[model], tokenizer=thinker, style=ALL[model])
    assert [one for one in found.items() if one[1][0] != "pass"] == []


@pytest.mark.parametrize("model", ALL)
def test_without_a_tokenizer_another_published_template_is_a_warning(status_of, model):
    found = status_of(ALL[model])
    statuses = {name: status for name, (status, _) in found.items()}
    wanted = "pass" if model == "instruct" else "warn"
    assert statuses.pop("template-system") == wanted, found["template-system"]
    assert statuses.pop("template-exact") == "skip"
    assert set(statuses.values()) == {"pass"}, found


@pytest.mark.parametrize("model", ALL)
def test_the_template_of_another_model_is_a_fault(status_of, thinker, model):
    served = STYLES["k2-thinking"] if model == "instruct" else INSTRUCT
    found = status_of(served, tokenizer=thinker, style=ALL[model])
    assert found["template-system"][0] == found["template-exact"][0] == "fail"


def test_one_token_more_is_a_fault_in_every_style(status_of, thinker):
    for style in ALL.values():
        found = status_of(style, begin=1, tokenizer=thinker, style=style)
        failed = {name for name, (status, _) in found.items() if status == "fail"}
        assert failed == {"template-exact", "prompt-count"}
