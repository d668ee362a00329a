"""Requests for log-probabilities: of an answer, and of a prompt's own tokens.

A prompt is scored through `echo`. One token is generated beside it, since not every engine takes
max_tokens 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openk2.verify.wire.endpoint import Response, shown
from openk2.verify.wire.probe import NotOfferedError, Probe, accepted
from openk2.verify.wire.scores import Scores, chat_scores, completion_scores

COMPLETIONS = "/completions"
TOP = 5
ABSENT = (404, 405, 501)
REFUSED = (400, 422)


@dataclass(frozen=True)
class Scored:
    """One choice with its scores. prompt: empty without echo. prompt_tokens: as counted."""

    text: str
    prompt: Scores
    output: Scores
    prompt_tokens: int


async def complete(probe: Probe, prompt: str, *, max_tokens: int = 1, echo: bool = False) -> Scored:
    """A greedy continuation of a raw prompt, with scores.

    Raises NotOfferedError where the endpoint does not have that, EndpointFault for a failure.
    """
    body = await completed(probe, prompt, max_tokens=max_tokens, echo=echo)
    choice, counted = body["choices"][0], prompt_size(body)
    scores = scores_of(choice)
    if echo and len(scores) < counted:
        raise NotOfferedError("/v1/completions ignores echo: prompts get no log-probabilities")
    split = counted if echo else 0
    return Scored(str(choice["text"]), scores[:split], scores[split:], counted)


async def complete_together(
    probe: Probe, prompts: Sequence[str], *, max_tokens: int, echo: bool
) -> list[Scores]:
    """The scores of each prompt, if echoed, and of its continuation; all in one request, and so in
    one batch. Raises as `complete`."""
    body = await completed(probe, list(prompts), max_tokens=max_tokens, echo=echo)
    choices = sorted(body["choices"], key=lambda choice: choice["index"])
    if len(choices) != len(prompts):
        raise NotOfferedError(f"{len(prompts)} prompts in one request got {len(choices)} answers")
    return [scores_of(choice) for choice in choices]


async def completed(
    probe: Probe, prompt: str | list[str], *, max_tokens: int, echo: bool
) -> Mapping[str, Any]:
    """The answer of /v1/completions. Raises as `complete`."""
    body = {
        "model": probe.model,
        "prompt": prompt,
        "temperature": 0,
        "seed": probe.seed,
        "max_tokens": max_tokens,
        "echo": echo,
        "logprobs": TOP,
    }
    return offered(await probe.endpoint.post(COMPLETIONS, body), "/v1/completions")


def offered(response: Response, what: str) -> Mapping[str, Any]:
    """The answer. Raises NotOfferedError if the endpoint has no such thing, EndpointFault if it
    fails or refuses a prompt as too long."""
    if response.status in ABSENT:
        raise NotOfferedError(f"the endpoint has no {what} (status {response.status})")
    if response.status in REFUSED and "context" not in response.text:
        raise NotOfferedError(f"{what} refuses log-probabilities: {shown(response.text)}")
    body: Mapping[str, Any] = accepted(response).json()
    return body


def scores_of(choice: Mapping[str, Any]) -> Scores:
    """The scores of a choice of completions. Raises NotOfferedError if there are none."""
    if not choice.get("logprobs"):
        raise NotOfferedError("/v1/completions gives no log-probabilities")
    return completion_scores(choice["logprobs"])


def prompt_size(body: Mapping[str, Any]) -> int:
    """usage.prompt_tokens. Raises NotOfferedError without it."""
    counted = (body.get("usage") or {}).get("prompt_tokens")
    if not isinstance(counted, int):
        raise NotOfferedError("/v1/completions has no usage.prompt_tokens")
    return counted


async def chat_scored(
    probe: Probe, messages: Sequence[Mapping[str, Any]], *, max_tokens: int
) -> Scored:
    """A greedy chat answer with scores. Raises as `complete`."""
    response = await probe.raw(messages, max_tokens=max_tokens, logprobs=True, top_logprobs=TOP)
    body = offered(response, "/v1/chat/completions")
    choice = body["choices"][0]
    scores = chat_scores(choice.get("logprobs") or {})
    if not scores:
        raise NotOfferedError("chat completions give no log-probabilities")
    counted = (body.get("usage") or {}).get("prompt_tokens")
    size = counted if isinstance(counted, int) else 0
    return Scored(str(choice["message"].get("content") or ""), (), scores, size)


async def answered(probe: Probe, prompt: str, *, max_tokens: int) -> Scored:
    """A greedy answer with scores: of completions, or of chat where there are none.

    Raises NotOfferedError if neither gives log-probabilities.
    """
    try:
        return await complete(probe, prompt, max_tokens=max_tokens)
    except NotOfferedError:
        return await chat_scored(
            probe, [{"role": "user", "content": prompt}], max_tokens=max_tokens
        )
