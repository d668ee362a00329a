"""The same tokens scored in several ways by one endpoint: again, in a batch, as a prompt.

None needs a reference. A fault that is the same in every way is not found here: `reference` is for
that.
"""

from collections.abc import Sequence
from statistics import median

from openk2.verify.differences import FEWEST, ScoreDifference, difference, joined
from openk2.verify.outcome import CheckOutcome, measured, skipped
from openk2.verify.passages import opening
from openk2.verify.wire.probe import NotOfferedError, Probe, all_of
from openk2.verify.wire.scorer import Scored, answered, complete, complete_together
from openk2.verify.wire.scores import Scores

# Of the prompt, and of the prompt with an answer: a balancer that takes turns reaches as many
# replicas. Both odd, so that two replicas change places.
READ, ANSWERED = 9, 3
TARGETS = 3
MOST_PROMPTS = 6
OUTPUT = 16
# Where an answer is continued from a part of itself, in tokens.
CUTS = (1, 2, 4, 6, 8, 10, 12, 14)


async def repeatable(probe: Probe) -> CheckOutcome:
    """One prompt, asked again and again with nothing beside it, has one set of scores."""
    prompt = opening(f"{probe.seed}/repeat", 300)
    echo = await offers_echo(probe)
    # With echo the prompt is computed; without it, it may come from the prefix cache.
    read = [await scored_alone(probe, prompt, True, 1) for _ in range(READ if echo else 0)]
    runs = [await scored_alone(probe, prompt, False) for _ in range(ANSWERED if echo else READ)]
    apart = [difference(read[0].prompt, run.prompt) for run in read[1:]]
    apart += [difference(runs[0].output, run.output) for run in runs[1:]]
    if joined(apart).tokens < FEWEST:
        return too_few(joined(apart))
    found = max(apart, key=lambda one: (one.exceeds(probe.tolerance), one.mean))
    wrong = sum(one.exceeds(probe.tolerance) for one in apart)
    faults = [f"{wrong} of {len(apart)} repeats differ from the first: {found}"]
    return measured(
        found.mean,
        probe.tolerance,
        what=f"{len(read) + len(runs)} runs of one prompt differ by {found}",
        cause="One of the endpoint's replicas or ranks computes something else (its experts, its "
        "weights), or the prefix cache returns wrong pages: ask the replicas one by one",
        faults=faults if wrong else (),
        measures=figures(found),
    )


async def batch(probe: Probe) -> CheckOutcome:
    """A prompt and its answer have the same scores alone and among others."""
    texts = [opening(f"{probe.seed}/batch/{number}", 200) for number in range(probe.batch)]
    step = max((probe.batch - 1) // (TARGETS - 1), 1)
    targets = sorted({min(number * step, probe.batch - 1) for number in range(TARGETS)})
    echo = await offers_echo(probe)
    alone = [await scored_alone(probe, texts[target], echo) for target in targets]
    together = await scored_together(probe, texts, echo)
    pairs = [
        (one, together[target][: len(one.prompt)], together[target][len(one.prompt) :])
        for one, target in zip(alone, targets, strict=True)
    ]
    read = joined([difference(one.prompt, prompt) for one, prompt, _ in pairs])
    answers = joined([difference(one.output, output) for one, _, output in pairs])
    if read.tokens + answers.tokens < FEWEST:
        return too_few(joined([read, answers]))
    # Apart, so that a fault of decoding is not diluted by the prompts.
    found = max(read, answers, key=lambda one: (one.exceeds(probe.tolerance), one.mean))
    where = "prompts" if found is read else "answers"
    faults = [f"in a batch of {probe.batch} the scores of {where} differ from those alone: {found}"]
    return measured(
        found.mean,
        probe.tolerance,
        what=f"alone and in a batch of {probe.batch} the scores of {where} differ by {found}",
        cause="A sum over experts or ranks is wrong in larger batches (expert parallelism, a "
        "kernel or CUDA graph that is chosen by size): compare with each of them switched off",
        faults=faults if found.exceeds(probe.tolerance) else (),
        measures=figures(joined([read, answers])),
    )


async def prefill_decode(probe: Probe) -> CheckOutcome:
    """Tokens have the same scores when they are generated and when they are read as a prompt."""
    echo = await offers_echo(probe)
    way = "read again as a prompt" if echo else "computed again from parts of the answer"
    again = read_again if echo else continue_again
    parts: list[ScoreDifference] = []
    # An answer may end at once, or be split into other tokens when it is read.
    for number in range(MOST_PROMPTS):
        prompt = opening(f"{probe.seed}/decode/{number}", 200)
        parts += await again(probe, prompt, await complete(probe, prompt, max_tokens=OUTPUT))
        if joined(parts).tokens >= 2 * OUTPUT:
            break
    found = joined(parts)
    if found.tokens < FEWEST:
        return too_few(found)
    # A part of an answer may be split into as many other tokens, which nobody sees: some of the
    # scores are then of something else. A fault moves most of them.
    middle = found.mean if echo else median(one.mean for one in parts if one.tokens)
    wrong = found.exceeds(probe.tolerance) if echo else middle > probe.tolerance
    way += "" if echo else f" (half of them by {middle:.3f} or more)"
    faults = [f"generated tokens that are {way} have other scores: {found}"]
    return measured(
        middle,
        probe.tolerance,
        what=f"generated tokens that are {way} differ by {found} over {found.tokens} tokens",
        cause="Prefill and decode compute different things (another attention or expert kernel, "
        "positions off by one, a cache that is rounded too much): compare with other kernels",
        faults=faults if wrong else (),
        measures=figures(found),
    )


async def read_again(probe: Probe, prompt: str, generated: Scored) -> list[ScoreDifference]:
    """The generated tokens against their scores as a prompt, as far as the text becomes the same
    tokens."""
    again = await complete(probe, prompt + generated.text, echo=True)
    return [difference(generated.output, again.prompt[generated.prompt_tokens :], chosen=False)]


async def continue_again(probe: Probe, prompt: str, generated: Scored) -> list[ScoreDifference]:
    """The same where prompts get no scores: the first token after each of some parts of the answer,
    which prefill computes, against the token of the answer."""
    apart: list[ScoreDifference] = []
    for cut in CUTS:
        begun = "".join(one.token for one in generated.output[:cut])
        if cut >= len(generated.output) or not generated.text.startswith(begun):
            break
        again = await complete(probe, prompt + begun)
        # Otherwise the text was split in other tokens, and the scores are of something else.
        if again.prompt_tokens == generated.prompt_tokens + cut:
            apart.append(difference(generated.output[cut : cut + 1], again.output))
    return apart


async def offers_echo(probe: Probe) -> bool:
    """Whether prompts get scores."""
    try:
        return bool((await complete(probe, "One, two, three.", echo=True)).prompt)
    except NotOfferedError:
        return False


async def scored_alone(probe: Probe, prompt: str, echo: bool, max_tokens: int = OUTPUT) -> Scored:
    """A greedy continuation with its scores, and with echo those of the prompt."""
    if echo:
        return await complete(probe, prompt, max_tokens=max_tokens, echo=True)
    return await answered(probe, prompt, max_tokens=max_tokens)


async def scored_together(probe: Probe, prompts: Sequence[str], echo: bool) -> list[Scores]:
    """The same of many, in one request where it may hold several prompts: the batch is then larger
    than the number of requests in flight."""
    try:
        return await complete_together(probe, prompts, max_tokens=OUTPUT, echo=echo)
    except NotOfferedError:
        asked = (scored_alone(probe, prompt, echo) for prompt in prompts)
        return [one.prompt + one.output for one in await all_of(asked)]


def figures(found: ScoreDifference) -> dict[str, float]:
    """For --json."""
    return {"tokens": found.tokens, "mean": found.mean, "worst": found.worst}


def too_few(found: ScoreDifference) -> CheckOutcome:
    """Nothing was compared; why, another check says."""
    reason = f"only {found.tokens} tokens with usable scores could be compared"
    return skipped(f"{reason}, {FEWEST} are needed; logprob-range says what is wrong with others")
