"""Is a long prompt read as well as a short one? Wrong rope scaling shows in where it is not."""

from openk2.verify.checks.prompt_room import prompt_room, text_of
from openk2.verify.differences import FLOOR
from openk2.verify.outcome import CheckOutcome, measured
from openk2.verify.passages import passage
from openk2.verify.wire.probe import NotOfferedError, Probe
from openk2.verify.wire.scorer import complete
from openk2.verify.wire.scores import Scores

# More context makes a text likelier or leaves it as it is: openk2-nano and the copying model of the
# tests lose nothing, with any seed. Rounding moves a mean over fifty tokens by some hundredths.
FALL = 0.3
SHALLOWEST = 64
PASSAGE = 240


async def depth(probe: Probe) -> CheckOutcome:
    """A passage is as likely after a long text as after a shorter one that ends the same way.

    A fall is measured from the likeliest before, since a longer text makes it likelier at first.
    """
    size = await prompt_room(probe)
    end = passage(f"{probe.seed}/depth/end", PASSAGE)
    room = int(size.longest - len(end) / size.width)
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
    steps, tokens = [], SHALLOWEST
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
