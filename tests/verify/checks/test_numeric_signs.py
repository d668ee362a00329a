"""What broken engines send, as plain HTTP: NaN in several disguises, and what is not offered."""

import asyncio
import json
import math
import re

import httpx
import pytest

from openk2.verify import NUMERICS, CheckResult, Endpoint, Probe, verify_endpoint

ANSWER = " the sea is wide and cold and full of fish"


class Fake:
    """An engine whose tokens are words and spaces, each with the same score.

    change: what becomes of the entries (token, logprob, top) of an output. text: what it answers.
    Routes and fields in `refused` are answered with 404 and 400.
    """

    def __init__(self, change=lambda entries: entries, text=ANSWER, refused=(), length=2048):
        self.change, self.text, self.refused, self.length = change, text, refused, length
        self.bodies = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            card = {"id": "fake", "max_model_len": self.length}
            return httpx.Response(200, json={"data": [card]})
        path, body = request.url.path.removeprefix("/v1"), json.loads(request.content)
        self.bodies.append((path, body))
        if path in self.refused:
            return httpx.Response(404, json={"error": {"message": "no such route"}})
        if field := next((name for name in self.refused if body.get(name)), None):
            return httpx.Response(400, json={"error": {"message": f"{field} is not supported"}})
        answer = self.chat(body) if path == "/chat/completions" else self.completion(body)
        # As Python's json writes it: NaN is no JSON, but engines send it.
        return httpx.Response(200, content=json.dumps(answer).encode())

    def entries(self, text, most=None):
        tokens = re.findall(r"\w+|\W", text)[:most]
        return [(token, -0.5, {token: -0.5, "zebra": -1.2}) for token in tokens]

    def chat(self, body):
        entries = self.change(self.entries(self.text, body["max_tokens"]))
        content = [
            {"token": token, "logprob": logprob, "top_logprobs": tops(top)}
            for token, logprob, top in entries
        ]
        choice = {
            "message": {"role": "assistant", "content": "".join(entry[0] for entry in entries)},
            "logprobs": {"content": content} if body.get("logprobs") else None,
            "finish_reason": "length",
        }
        size = 11 + sum(len(self.entries(m["content"])) for m in body["messages"])
        return {"choices": [choice], "usage": {"prompt_tokens": size}}

    def completion(self, body):
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        choices = [self.choice(index, prompt, body) for index, prompt in enumerate(prompts)]
        size = sum(len(self.entries(prompt)) for prompt in prompts)
        return {"choices": choices, "usage": {"prompt_tokens": size}}

    def choice(self, index, prompt, body):
        output = self.change(self.entries(self.text, body["max_tokens"]))
        read = self.entries(prompt) if body["echo"] and "ignored echo" not in self.refused else []
        entries = [*read, *output]
        logprobs = {
            "tokens": [token for token, _, _ in entries],
            "token_logprobs": [logprob for _, logprob, _ in entries],
            "top_logprobs": [top for _, _, top in entries],
        }
        text = "".join(entry[0] for entry in output)
        return {"index": index, "text": text, "logprobs": logprobs}


def tops(top):
    return [{"token": token, "logprob": logprob} for token, logprob in top.items()]


def found(fake, *names) -> dict[str, CheckResult]:
    async def run():
        async with Endpoint("http://fake", transport=httpx.MockTransport(fake)) as endpoint:
            checks = [check for check in NUMERICS if check.name in names]
            return await verify_endpoint(Probe(endpoint, "fake", context=512), checks)

    return {result.name: result for result in asyncio.run(run()).results}


def every(logprob, top=None):
    """Each output token gets this log-probability, and these of the likeliest."""
    return lambda entries: [(t, logprob, {t: logprob, **(top or {})}) for t, _, _ in entries]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (every(math.nan), "has log-probability nan"),
        (every(-math.inf), "has log-probability -inf"),
        (every(-9999.0), "has log-probability -9999"),
        (every(None), "has log-probability null"),
        (every(0.25), "has log-probability 0.25"),
        (every(-0.1, {"a": -0.1}), "of probability, over 1"),
        (every(-8.3, {"a": -8.3, "b": -8.3}), "equally likely"),
        (every(-3.0, {"a": -0.2}), "2.80 nats less likely than another"),
    ],
)
def test_a_log_probability_that_cannot_be_is_found(change, said):
    outcome = found(Fake(change), "logprob-range")["logprob-range"].outcome
    assert outcome.status == "fail"
    assert said in outcome.seen
    assert "NaN" in outcome.seen


def test_rounding_to_bfloat16_is_in_range():
    change = every(-0.6953125, {"a": -0.69140625, "b": -11.0})
    assert found(Fake(change), "logprob-range")["logprob-range"].outcome.status == "pass"


@pytest.mark.parametrize(
    ("text", "said"),
    [("!" * 48, "48 times token 0"), (" yes" + "!" * 40, "times token 0"), ("", "and no text")],
)
def test_the_texts_that_nan_makes_are_found(text, said):
    outcome = found(Fake(text=text), "nan-signs")["nan-signs"].outcome
    assert outcome.status == "fail"
    assert said in outcome.seen


def test_an_exclamation_is_no_sign_and_a_loop_is_a_warning():
    assert found(Fake(text="Stop! Wait!!"), "nan-signs")["nan-signs"].outcome.status == "pass"
    looping = found(Fake(text=" again and" * 30), "nan-signs")["nan-signs"].outcome
    assert (looping.status, looping.figure) == ("warn", "5/5 loop")


NEEDS = {
    "prefill-decode": ("/completions",),
    "logprob-range": ("/completions", "logprobs"),
    "repeatable": ("/completions", "logprobs"),
    "batch": ("/completions", "logprobs"),
    "chat-equals-raw": ("/completions",),
    "depth": ("echo",),
    "long-context": ("echo",),
    "reference": (),
}


@pytest.mark.parametrize("name", NEEDS)
def test_what_is_not_offered_is_skipped_with_the_reason(name):
    outcome = found(Fake(refused=NEEDS[name]), name)[name].outcome
    assert outcome.status == "skip"
    assert len(outcome.seen) > 20


def test_an_echo_that_is_ignored_is_not_offered():
    outcome = found(Fake(refused=("ignored echo",)), "depth")["depth"].outcome
    assert outcome.status == "skip"
    assert "ignores echo" in outcome.seen


def test_without_echo_answers_are_continued_from_their_parts():
    fake = Fake(refused=("echo",))
    outcome = found(fake, "prefill-decode")["prefill-decode"].outcome
    assert "computed again from parts of the answer" in outcome.seen


def test_without_completions_chats_are_compared():
    results = found(Fake(refused=("/completions",)), "repeatable", "batch", "logprob-range")
    assert {result.outcome.status for result in results.values()} == {"pass"}


def test_a_long_prompt_that_is_refused_below_the_stated_length_is_a_fault():
    class Smaller(Fake):
        def __call__(self, request):
            if request.method == "POST" and len(request.content) > 900:
                error = {"message": "the context holds 100 tokens", "code": "context_length"}
                return httpx.Response(400, json={"error": error})
            return super().__call__(request)

    outcome = found(Smaller(), "long-context")["long-context"].outcome
    assert outcome.status == "fail"
    assert "of 512 fails" in outcome.seen


def test_the_requests_of_the_group_are_few_and_short():
    fake = Fake()
    found(fake, *(check.name for check in NUMERICS))
    assert len(fake.bodies) < 80
    assert max(body["max_tokens"] for _, body in fake.bodies) <= 512
