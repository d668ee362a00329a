"""Log-probabilities that can be true, and texts that only broken numbers give."""

import math
import re
from collections.abc import Iterator
from functools import partial

from openk2.verify.cases import user
from openk2.verify.outcome import CheckOutcome, judged, skipped
from openk2.verify.passages import SMALL_QUESTIONS, opening, passage
from openk2.verify.wire.endpoint import EndpointFault
from openk2.verify.wire.probe import NotOfferedError, Probe, accepted, all_of
from openk2.verify.wire.scorer import Scored, chat_scored, complete
from openk2.verify.wire.scores import Scores

# Log-probabilities may have been rounded to bfloat16: a sum of five is then right to 1 %.
SUM_BOUND = 1.02
# Steps of bfloat16 between the likeliest token and the one that was chosen at temperature 0.
CHOICE_BOUND = 0.2
# Token 0 is "!" in K2's vocabulary as in every one whose first 94 tokens are the visible ASCII
# characters. The argmax of a row of NaN is 0.
TOKEN_0 = "!"
RUN = 8
LENGTH = 48
MOST_LOOPED = 4000  # characters, more than 48 tokens have: an endpoint may send megabytes
TEXTLESS = "\0"  # of an answer whose tokens are no text
NAN_CAUSE = (
    "NaN or infinity reached the logits: look for an overflow in float16 or fp8 scales, a kernel "
    "that reads memory nobody wrote, or damaged weights"
)


async def logprob_range(probe: Probe) -> CheckOutcome:
    """Log-probabilities are <= 0, finite, sum to at most 1, and belong to the tokens chosen."""
    faults: list[str] = []
    reasons: list[str] = []
    places = 0
    text = opening(f"{probe.seed}/range", 200)
    asked = (
        ("chat", partial(chat_scored, probe, [user(SMALL_QUESTIONS[0])], max_tokens=16)),
        ("completions", partial(complete, probe, text, max_tokens=16)),
        ("a scored prompt", partial(complete, probe, text, echo=True)),
    )
    for where, request in asked:
        try:
            scored = await request()
        except NotOfferedError as error:
            reasons.append(str(error))
        except EndpointFault as fault:
            places += 1
            faults.append(f"{where}: {fault}")
        else:
            places += len(scored.prompt) + len(scored.output)
            faults += [f"{where}: {fault}" for fault in range_faults(scored)]
    if not places:
        return skipped("; ".join(dict.fromkeys(reasons)))
    return judged(
        places,
        faults,
        passed=f"{places} log-probabilities are <= 0, and the likeliest sum to at most {SUM_BOUND}",
        remedy=f"{NAN_CAUSE}; JSON has no NaN, so that some engines answer 500 or write -9999",
    )


def range_faults(scored: Scored) -> Iterator[str]:
    """What cannot be true. A prompt's first token is predicted by nothing: null is right there."""
    everything = (*scored.prompt[1:], *scored.output)
    for place, one in enumerate(everything):
        values = (one.logprob, *one.top.values())
        if odd := [value for value in values if value is None or not -1000 < value <= 1e-4]:
            shown = "null" if odd[0] is None else f"{odd[0]:g}"
            yield f"token {place} ({one.token!r:.20}) has log-probability {shown}"
            continue
        total = sum(math.exp(value) for value in one.top.values() if value is not None)
        if total > SUM_BOUND:
            yield f"the likeliest tokens of place {place} have {total:.2f} of probability, over 1"
    yield from flat_faults(everything)
    yield from choice_faults(scored.output)


def flat_faults(scores: Scores) -> Iterator[str]:
    """All tokens equally likely everywhere: the logits are constant."""
    tops = [[value for value in one.top.values() if value is not None] for one in scores]
    tops = [values for values in tops if len(values) > 1]
    if tops and all(max(values) - min(values) < 1e-6 for values in tops):
        yield f"in all {len(tops)} places the likeliest tokens are equally likely: logits are flat"


def choice_faults(output: Scores) -> Iterator[str]:
    """Places of a greedy answer where the token that was chosen is not the likeliest."""
    for place, one in enumerate(output):
        best = max((value for value in one.top.values() if value is not None), default=None)
        if best is not None and one.logprob is not None and one.logprob < best - CHOICE_BOUND:
            yield (
                f"at temperature 0 token {place} is {best - one.logprob:.2f} nats less likely than "
                "another: the list is shifted, or the endpoint changes what it samples"
            )


async def nan_signs(probe: Probe) -> CheckOutcome:
    """No runs of "!!!!", no tokens without text, no loops in every answer."""
    long = passage(f"{probe.seed}/signs", 600)
    prompts = (*SMALL_QUESTIONS, f"{long}\n\nSummarise this in one sentence.")
    answers = await all_of(sign_answer(probe, prompt) for prompt in prompts)
    faults = [
        f"{prompt[:30]!r} ({len(prompt)} characters) {said}"
        for prompt, (said, _) in zip(prompts, answers, strict=True)
        if said
    ]
    texts = [text for _, text in answers]
    # One alone may be a call of a tool that nobody declared, which servers drop.
    if texts.count(TEXTLESS) > len(texts) / 2:
        number = texts.count(TEXTLESS)
        faults.append(f"{number} prompts are answered with {LENGTH} tokens and no text")
    texts = ["" if text == TEXTLESS else text for text in texts]
    if not any(texts) and not faults:
        return skipped("no prompt was answered with text; other checks say why")
    looping = [loops(text) for text in texts]
    if not faults and sum(looping) > len(texts) / 2:
        return await judge_loops(probe, prompts, looping)
    return judged(
        len(prompts),
        faults,
        passed=f"{len(prompts)} answers have none of the signs of NaN, and most do not loop",
        remedy=NAN_CAUSE,
    )


async def sign_answer(probe: Probe, prompt: str) -> tuple[str | None, str]:
    """What is wrong with an answer, and its text, thoughts included."""
    try:
        response = await probe.raw([user(prompt)], max_tokens=LENGTH)
        if response.status < 500 and response.status != 200:
            return None, ""  # refused, so nothing was computed; other checks judge refusals
        body = accepted(response).json()
    except EndpointFault as fault:
        return f"gets no answer: {fault}", ""
    choice = body["choices"][0]
    message = choice["message"]
    parts = (message.get(name) for name in ("reasoning_content", "reasoning", "content"))
    text = "".join(part for part in parts if isinstance(part, str))
    if found := re.search(re.escape(TOKEN_0) + f"{{{RUN},}}", text):
        return f"is answered with {len(found[0])} times token 0: {text[:40]!r}", text
    if not text and not message.get("tool_calls") and choice.get("finish_reason") == "length":
        return None, TEXTLESS
    return None, text


def loops(text: str) -> bool:
    """Whether the second half of a text repeats something of at most a quarter of its length."""
    text = text[:MOST_LOOPED]
    tail = text[len(text) // 2 :]
    if len(tail) < 20:
        return False
    return any(tail[period:] == tail[:-period] for period in range(1, len(tail) // 4 + 1))


async def judge_loops(probe: Probe, prompts: tuple[str, ...], looping: list[bool]) -> CheckOutcome:
    """Small models loop by themselves at temperature 0; a reference tells which it is."""
    figure = f"{sum(looping)}/{len(prompts)} loop"
    cause = "NaN in the cache or a wrong rope can be the cause, and so can a small model"
    if probe.reference is None:
        seen = f"most greedy answers repeat themselves: {cause}; --reference tells them apart."
        return CheckOutcome("warn", figure, seen)
    reference = probe.reference
    there = await all_of(sign_answer(reference, prompt) for prompt in prompts)
    more = [here and not loops(text) for here, (_, text) in zip(looping, there, strict=True)]
    if sum(more) > len(prompts) / 2:
        fault = f"{sum(more)} of {len(prompts)} answers loop that do not loop at the reference"
        return CheckOutcome("fail", figure, f"{fault}. {NAN_CAUSE}.", (fault,))
    return CheckOutcome("pass", figure, "answers loop at the reference too: it is the model.")
