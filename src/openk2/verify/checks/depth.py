"""What becomes of a prompt when it is long: is all of it read, and read as well as a short one?"""

from dataclasses import dataclass
from typing import Any

from openk2.verify.cases import user
from openk2.verify.differences import FLOOR, difference
from openk2.verify.outcome import CheckOutcome, judged, measured, skipped
from openk2.verify.passages import code, passage, vault
from openk2.verify.wire.endpoint import EndpointFault
from openk2.verify.wire.probe import NotOfferedError, Probe, accepted
from openk2.verify.wire.reply import read_whole
from openk2.verify.wire.scorer import Scored, complete
from openk2.verify.wire.scores import Scores

# More context makes a text likelier or leaves it as it is: openk2-nano and the copying model of the
# tests lose nothing, with any seed. Rounding moves a mean over fifty tokens by some hundredths.
FALL = 0.3
# A model that finds the code again gives each of its tokens this much more than a wrong code.
RECALLED = 0.5
# A code that is found again in a short prompt must be found in a long one by this share at least.
KEPT = 0.2
SHORTEST = 128
# Tokens left free for the end of a prompt and its answer, and for a text that is denser than the
# one by which sizes were measured.
RESERVE = 64
ROOM = 0.9
PASSAGE = 240
# Of the tokens that the text should have. Ours is homogeneous; a cut takes more than this.
COUNTED = 0.9


@dataclass(frozen=True)
class Span:
    """How long prompts may be. tokens: of the longest. told: what the endpoint says it holds.
    width: characters a token."""

    tokens: int
    told: int | None
    width: float

    @property
    def reach(self) -> str:
        """For a person: how far was looked."""
        if self.told is None or self.told <= self.tokens:
            return ""
        return f" (up to {self.tokens:,} of {self.told:,} tokens: --context {self.told} for all)"


async def span(probe: Probe) -> Span:
    """How long prompts can be here. Raises NotOfferedError without usage."""
    text = passage(f"{probe.seed}/width", 500)
    part = text[:100]
    short, long = [await probe.prompt_tokens([user(one)]) for one in (part, text)]
    if long <= short:
        raise NotOfferedError(
            f"{len(text) - len(part)} characters add {long - short} tokens to a prompt"
        )
    width = (len(text) - len(part)) / (long - short)
    told = await told_context(probe)
    return Span(min(probe.context, told or probe.context), told, width)


async def told_context(probe: Probe) -> int | None:
    """What the model's card says about its context; None if it says nothing."""
    listed = await probe.endpoint.get("/models")
    cards: list[dict[str, Any]] = listed.json()["data"] if listed.status == 200 else []
    for card in cards:
        told = card.get("max_model_len") or card.get("context_length")
        if card.get("id") == probe.model and isinstance(told, int) and told > 0:
            return told
    return None


def text_of(seed: str, tokens: int, width: float) -> str:
    """About this many tokens of sentences."""
    characters = max(int(tokens * width), 1)
    return passage(seed, characters)[:characters]


async def depth(probe: Probe) -> CheckOutcome:
    """A passage is as likely after a long text as after a shorter one that ends the same way.

    A fall is measured from the likeliest before, since a longer text makes it likelier at first.
    """
    size = await span(probe)
    end = passage(f"{probe.seed}/depth/end", PASSAGE)
    room = int(ROOM * (size.tokens - RESERVE) - len(end) / size.width)
    filler = text_of(f"{probe.seed}/depth", room, size.width)
    places, likely = [], []
    for tokens in ladder(size.tokens):
        before = filler[-int(tokens * size.width) :] if tokens < size.tokens else filler
        scored = await complete(probe, before + end, echo=True)
        places.append(scored.prompt_tokens)
        likely.append(last_values(scored.prompt, len(end)))
    gains = [-fall(likely[0], values) for values in likely]
    falls = [max(gains[: number + 1]) - gain for number, gain in enumerate(gains)]
    found = max(falls)
    wrong = [number for number, value in enumerate(falls) if value > FALL]
    faults = []
    if wrong:
        last_right, first_wrong = places[wrong[0] - 1], places[wrong[0]]
        faults = [
            f"log-probability falls by {found:.2f} nats a token from a position between "
            f"{last_right:,} and {first_wrong:,} on"
        ]
    return measured(
        found,
        FALL,
        what=f"a passage loses at most {max(found, 0.0):.2f} nats a token from position "
        f"{places[0]:,} to {places[-1]:,}{size.reach}",
        cause="Wrong rope scaling (factor, original_max_position_embeddings or mscale of "
        "config.json are ignored) or a window of attention: compare the engine's rope with it",
        faults=faults,
        measures={f"fall at {place}": value for place, value in zip(places, falls, strict=True)},
    )


def ladder(most: int) -> list[int]:
    """Tokens before the passage: doubling, then as many as fit."""
    steps, tokens = [], SHORTEST // 2
    while tokens < most / 2:
        steps.append(tokens)
        tokens *= 2
    return [*(steps or [most // 4]), most]


def last_values(scores: Scores, characters: int) -> list[float]:
    """The log-probabilities of a prompt's last tokens that lie within so many characters, last
    first."""
    values: list[float] = []
    for one in reversed(scores):
        characters -= len(one.token)
        if characters < 0:
            break
        if one.logprob is not None and one.usable:
            values.append(max(one.logprob, FLOOR))
    return values


def fall(shallow: list[float], deep: list[float]) -> float:
    """How much less likely the same tokens are, nats a token. Raises NotOfferedError for none."""
    if not shallow or len(shallow) != len(deep):
        raise NotOfferedError(
            "the passage has no usable scores at some depth; logprob-range and long-context say why"
        )
    return sum(one - other for one, other in zip(shallow, deep, strict=True)) / len(shallow)


async def long_context(probe: Probe) -> CheckOutcome:
    """The head of the longest prompt is counted, computed, and matters at the end."""
    size = await span(probe)
    try:
        return await by_scores(probe, size)
    except NotOfferedError:
        return await by_answers(probe, size)


def hidden(seed: str, which: str, tokens: int, width: float) -> tuple[str, str]:
    """A prompt whose head hides a code and whose end names it again, and the code.

    which: prompts that differ in it alone differ in the code alone.
    """
    name, number = vault(seed), code(f"{seed}/{which}")
    filler = text_of(f"{seed}/filler", tokens, width)
    return f"Vault {name}: {number}. {filler}Vault {name}: {number}", number


async def by_scores(probe: Probe, size: Span) -> CheckOutcome:
    """With scores of prompts: by what the head does to them. Raises NotOfferedError without."""
    seed = f"{probe.seed}/long"
    long = int(ROOM * (size.tokens - RESERVE))
    short = min(SHORTEST, long // 2)
    faults: list[str] = []
    near = await recalled(probe, seed, short, size)
    try:
        far = await recalled(probe, seed, long, size)
    except EndpointFault as fault:
        faults = [f"a prompt of about {long:,} tokens of {size.tokens:,} fails: {fault}"]
        return judged(1, faults, passed="", remedy=CUT)
    counted = far.scored.prompt_tokens
    expected = long
    if counted < COUNTED * expected:
        faults.append(f"a prompt of about {expected:,} tokens is counted as {counted:,}")
    missing = sum(one.logprob is None for one in far.scored.prompt[1:])
    if missing:
        faults.append(f"the first {missing:,} of {counted:,} tokens were not computed")
    measures = {"tokens": float(counted), "near": near.gain, "far": far.gain}
    if not faults and near.gain >= RECALLED and far.gain < KEPT * near.gain:
        faults.append(
            f"a code in the head adds {near.gain:.2f} nats a token to itself in {short} tokens and "
            f"{far.gain:.2f} in {counted:,}"
        )
    if not faults and near.gain < RECALLED and near.moved > 0 == far.moved:
        faults.append(f"the head of {counted:,} tokens changes nothing at all at their end")
    if not faults and near.gain < RECALLED and far.moved <= await noise(probe, seed, long, size):
        return skipped(
            "the model finds no code again in a short prompt, and its scores vary too much to see "
            f"what the head does; {counted:,} tokens were counted rightly"
        )
    told = f"the head of {counted:,} tokens is counted, computed and matters at the end{size.reach}"
    return judged(4, faults, passed=told, remedy=CUT, measures=measures)


CUT = (
    "The head of long prompts is dropped before the model (truncation, a sliding window, a router "
    "or gateway with a smaller limit): refuse what does not fit with a 400 instead"
)


@dataclass(frozen=True)
class Recall:
    """gain: nats a token that the right code in the head adds to itself. moved: how far the scores
    of the last quarter move with the code, mean nats a token."""

    scored: Scored
    gain: float
    moved: float


async def recalled(probe: Probe, seed: str, tokens: int, size: Span) -> Recall:
    """Ask with the code that the end names in the head, and with another one there."""
    prompt, number = hidden(seed, "a", tokens, size.width)
    right = await complete(probe, prompt, echo=True)
    other = prompt.replace(number, code(f"{seed}/b"), 1)
    wrong = await complete(probe, other, echo=True)
    mine, theirs = (last_values(one.prompt, len(number)) for one in (right, wrong))
    moved = difference(*(one.prompt[-len(one.prompt) // 4 :] for one in (right, wrong))).mean
    return Recall(right, fall(mine, theirs), moved)


async def noise(probe: Probe, seed: str, tokens: int, size: Span) -> float:
    """How far the scores of the last quarter move when nothing changes, mean nats a token."""
    prompt, _ = hidden(seed, "a", tokens, size.width)
    runs = [(await complete(probe, prompt, echo=True)).prompt for _ in range(2)]
    return difference(*(run[-len(run) // 4 :] for run in runs)).mean


async def by_answers(probe: Probe, size: Span) -> CheckOutcome:
    """Without scores of prompts: by a code that the answer must name, in the head and halfway."""
    seed = f"{probe.seed}/long"
    if not await names_code(probe, seed, SHORTEST, 0.0, size.width):
        return skipped(
            "the model does not name a code of a short prompt, and prompts get no log-probabilities"
        )
    long = int(ROOM * (size.tokens - RESERVE))
    places = {"head": 0.0, "middle": 0.5}
    faults = [
        f"a code in the {place} of about {long:,} tokens is not found"
        for place, share in places.items()
        if not await names_code(probe, seed, long, share, size.width)
    ]
    told = f"a code is found in {long:,} tokens, in the head and in the middle{size.reach}"
    return judged(len(places), faults, passed=told, remedy=CUT)


async def names_code(probe: Probe, seed: str, tokens: int, place: float, width: float) -> bool:
    """Whether the answer names the code that lies at this place of a text, 0 for its head."""
    name, number = vault(seed), code(f"{seed}/a")
    text = text_of(f"{seed}/filler", tokens, width)
    at = text.find(". ", int(place * len(text))) + 2 if place else 0
    told = f"The code of vault {name} is {number}. "
    question = f"\n\nWhat is the code of vault {name}? Answer with the code only."
    messages = [user(text[:at] + told + text[at:] + question)]
    reply = read_whole(accepted(await probe.raw(messages, max_tokens=512)))
    return number in "".join(reply.content.split())
