"""Is all of a long prompt read? A truncated beginning is the usual fault."""

from dataclasses import dataclass

from openk2.verify.cases import user
from openk2.verify.checks.depth import fall, last_values
from openk2.verify.checks.prompt_room import PromptRoom, prompt_room, text_of
from openk2.verify.differences import difference
from openk2.verify.outcome import CheckOutcome, judged, skipped
from openk2.verify.passages import code, vault
from openk2.verify.wire.endpoint import EndpointFault
from openk2.verify.wire.probe import NotOfferedError, Probe, accepted
from openk2.verify.wire.reply import read_whole
from openk2.verify.wire.scorer import Scored, complete

# A model that finds the code again gives each of its tokens this much more than a wrong code. Weak
# models that have a little of it (openk2-nano: 0.5) lose it in a long prompt by themselves.
RECALLED = 2.0
# A code that is found again in a short prompt must be found in a long one by this share at least.
KEPT = 0.1
SHORTEST = 128
# Of the tokens that the text should have, which is known to some percent; a cut takes more.
COUNTED = 0.8
CUT = (
    "The beginning of long prompts is cut off before the model (truncation, a sliding window, a "
    "router or gateway with a smaller limit): refuse what does not fit with a 400 instead"
)


async def long_context(probe: Probe) -> CheckOutcome:
    """The beginning of the longest prompt is counted, computed, and matters at the end."""
    size = await prompt_room(probe)
    try:
        return await by_scores(probe, size)
    except NotOfferedError:
        return await by_answers(probe, size)


def hidden(seed: str, which: str, tokens: int, width: float) -> tuple[str, str]:
    """A prompt that hides a code at its beginning and repeats it at its end, and the code.

    which: prompts that differ in it alone differ in the code alone.
    """
    name, number = vault(seed), code(f"{seed}/{which}")
    filler = text_of(f"{seed}/filler", tokens, width)
    return f"Vault {name}: {number}. {filler}Vault {name}: {number}", number


async def by_scores(probe: Probe, size: PromptRoom) -> CheckOutcome:
    """By what the beginning does to a prompt's scores. Raises NotOfferedError without scores."""
    seed = f"{probe.seed}/long"
    long = size.longest
    short = min(SHORTEST, long // 2)
    faults: list[str] = []
    near = await recalled(probe, seed, short, size)
    try:
        far = await recalled(probe, seed, long, size)
    except EndpointFault as fault:
        faults = [f"a prompt of about {long:,} tokens of {size.tokens:,} fails: {fault}"]
        return judged(1, faults, passed="", remedy=CUT)
    counted = far.scored.prompt_tokens
    if counted < COUNTED * long:
        faults.append(f"a prompt of about {long:,} tokens is counted as {counted:,}")
    missing = sum(one.logprob is None for one in far.scored.prompt[1:])
    if missing:
        faults.append(f"the first {missing:,} of {counted:,} tokens were not computed")
    measures = {"tokens": float(counted), "near": near.gain, "far": far.gain}
    if not faults and near.gain >= RECALLED and far.gain < KEPT * near.gain:
        faults.append(
            f"a code at the beginning adds {near.gain:.2f} nats a token to itself in {short} "
            f"tokens and {far.gain:.2f} in {counted:,}"
        )
    if not faults and near.gain < RECALLED and near.moved > 0 == far.moved:
        faults.append(f"the beginning of {counted:,} tokens changes nothing at their end")
    if not faults and near.gain < RECALLED and far.moved <= await noise(probe, seed, long, size):
        return skipped(
            "the model finds no code again in a short prompt, and its scores vary too much to see "
            f"what the beginning does; {counted:,} tokens were counted rightly"
        )
    told = f"the beginning of {counted:,} tokens is counted, computed and matters{size.reach}"
    return judged(4, faults, passed=told, remedy=CUT, measures=measures)


@dataclass(frozen=True)
class Recall:
    """gain: nats a token that the right code at the beginning adds to itself. moved: how far scores
    of the last quarter move with the code, mean nats a token."""

    scored: Scored
    gain: float
    moved: float


async def recalled(probe: Probe, seed: str, tokens: int, size: PromptRoom) -> Recall:
    """Ask with the code that the end repeats at the beginning, and with another one there."""
    prompt, number = hidden(seed, "a", tokens, size.width)
    right = await complete(probe, prompt, echo=True)
    other = prompt.replace(number, code(f"{seed}/b"), 1)
    wrong = await complete(probe, other, echo=True)
    mine, theirs = (last_values(one.prompt, len(number)) for one in (right, wrong))
    moved = difference(*(one.prompt[-len(one.prompt) // 4 :] for one in (right, wrong))).mean
    return Recall(right, fall(mine, theirs), moved)


async def noise(probe: Probe, seed: str, tokens: int, size: PromptRoom) -> float:
    """How far the scores of the last quarter move when nothing changes, mean nats a token."""
    prompt, _ = hidden(seed, "a", tokens, size.width)
    runs = [(await complete(probe, prompt, echo=True)).prompt for _ in range(2)]
    return difference(*(run[-len(run) // 4 :] for run in runs)).mean


async def by_answers(probe: Probe, size: PromptRoom) -> CheckOutcome:
    """Without scores of prompts: by a code that the answer must name, early and halfway."""
    seed = f"{probe.seed}/long"
    if not await names_code(probe, seed, SHORTEST, 0.0, size.width):
        return skipped(
            "the model does not name a code of a short prompt, and prompts get no log-probabilities"
        )
    long = size.longest
    places = {"beginning": 0.0, "middle": 0.5}
    faults = [
        f"a code in the {place} of about {long:,} tokens is not found"
        for place, share in places.items()
        if not await names_code(probe, seed, long, share, size.width)
    ]
    told = f"a code is found in {long:,} tokens, at the beginning and in the middle{size.reach}"
    return judged(len(places), faults, passed=told, remedy=CUT)


async def names_code(probe: Probe, seed: str, tokens: int, place: float, width: float) -> bool:
    """Whether the answer names the code that lies at this place of a text, 0 for its beginning."""
    name, number = vault(seed), code(f"{seed}/a")
    text = text_of(f"{seed}/filler", tokens, width)
    at = text.find(". ", int(place * len(text))) + 2 if place else 0
    told = f"The code of vault {name} is {number}. "
    question = f"\n\nWhat is the code of vault {name}? Answer with the code only."
    messages = [user(text[:at] + told + text[at:] + question)]
    reply = read_whole(accepted(await probe.raw(messages, max_tokens=512)))
    return number in "".join(reply.content.split())
