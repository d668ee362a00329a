"""Refusals: their status, their shape, and a context that is too small."""

from typing import Any

from openk2.verify.cases import user
from openk2.verify.outcome import CheckOutcome, judged, skipped
from openk2.verify.wire.endpoint import EndpointFault, Response
from openk2.verify.wire.probe import CHAT, Probe, all_of
from openk2.verify.wire.reply import read_whole

# More words than K2's longest context has tokens. A word is one token at least.
WORDS = 300_000


async def error_shape(probe: Probe) -> CheckOutcome:
    """Invalid requests get a 4xx with OpenAI's error object."""
    good = probe.body([user("Hello!")])
    bodies: list[tuple[str, Any]] = [
        ("a body that is no JSON", b"{"),
        ("a request without messages", {"model": probe.model}),
        ("messages that are text", {**good, "messages": "Hello!"}),
        ("an unknown role", {**good, "messages": [{"role": "narrator", "content": "Hello!"}]}),
        ("max_tokens as text", {**good, "max_tokens": "many"}),
        ("a model that is not served", {**good, "model": "no-such-model"}),
    ]
    responses = await all_of(probe.endpoint.post(CHAT, body) for _, body in bodies)
    faults = []
    for (what, _), response in zip(bodies, responses, strict=True):
        if problem := refusal_problem(response):
            faults.append(f"{what} got {problem}")
    return judged(
        len(bodies),
        faults,
        passed="refusals are 4xx with OpenAI's error object",
        remedy='answer {"error": {"message", "type", "param", "code"}}',
    )


def refusal_problem(response: Response) -> str | None:
    """What is wrong with a refusal."""
    if not 400 <= response.status < 500:
        return f"status {response.status}, not 4xx"
    try:
        error = response.json()["error"]
        if not (isinstance(error["message"], str) and error["message"]):
            return "an error without a message"
        missing = [name for name in ("type", "param", "code") if name not in error]
    except (EndpointFault, KeyError, TypeError):
        return f"a {response.status} that has not OpenAI's shape"
    return f"an error without {', '.join(missing)}" if missing else None


async def context_overflow(probe: Probe) -> CheckOutcome:
    """A prompt that is too long gets a 400 with code context_length_exceeded, and is not cut."""
    response = await probe.raw([user("hello " * WORDS)], max_tokens=1)
    if response.status == 200:
        tokens = read_whole(response).tokens("prompt") or 0
        if tokens >= WORDS:
            return skipped(f"the context holds {tokens:,} tokens, so no prompt here is too long")
        faults = [f"{WORDS:,} words became a prompt of {tokens:,} tokens: it was cut silently"]
    else:
        faults = overflow_faults(response)
    return judged(
        1,
        faults,
        passed="a prompt that is too long is refused as OpenAI's clients expect",
        remedy="answer 400 with code context_length_exceeded",
    )


def overflow_faults(response: Response) -> list[str]:
    """What is wrong with the refusal of a prompt that is too long."""
    if response.status != 400:
        return [f"{WORDS:,} words got {response.status}"]
    try:
        code = response.json()["error"]["code"]
    except (EndpointFault, KeyError, TypeError):
        return ["the 400 has not OpenAI's shape"]
    return [] if code == "context_length_exceeded" else [f"the 400 has code {code!r}"]
