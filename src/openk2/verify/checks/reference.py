"""The same tokens scored by this endpoint and by one that is known to be right.

Only this finds a fault that is the same in every request: an expert whose contribution is always
missing or doubled, wrong weights, a rope that is wrong from the first position on.
"""

from dataclasses import dataclass

from openk2.verify.cases import user
from openk2.verify.checks.prompt_room import prompt_room, text_of, told_context
from openk2.verify.differences import (
    FEWEST,
    ScoreDifference,
    difference,
    divergence,
    joined,
)
from openk2.verify.outcome import CheckOutcome, measured, skipped
from openk2.verify.passages import SMALL_QUESTIONS, passage
from openk2.verify.wire.probe import NotOfferedError, Probe
from openk2.verify.wire.scorer import chat_scored, complete
from openk2.verify.wire.scores import Scores

# Nats a token. int4 against bf16 stays below 0.05, fp8 below 0.02; an expert that is missing or
# another rope makes several tenths.
DIVERGED = 0.1
# Texts whose divergence stays below this agree, beyond doubt.
CLEAR = DIVERGED / 4
# Two engines, so twice what one may differ from itself.
SIDES = 2.0
PASSAGES = 4
WINDOW = 64
TOLD = 12


@dataclass(frozen=True)
class ComparedScores:
    """One text: how far the two scorings lie apart, and KL at each place."""

    apart: ScoreDifference
    kl: tuple[float, ...]

    @property
    def start(self) -> int | None:
        """The place up to which the windows agree and from which all differ; None without one."""
        windows = [self.kl[first : first + WINDOW] for first in range(0, len(self.kl), WINDOW)]
        means = [mean(window) for window in windows if len(window) >= WINDOW // 2]
        wrong = [value > DIVERGED for value in means]
        first = wrong.index(True) if any(wrong) else 0
        if first and all(wrong[first:]) and max(means[:first]) < CLEAR:
            return first * WINDOW
        return None


async def reference(probe: Probe) -> CheckOutcome:
    """With --reference: the endpoint and the reference give the same tokens the same scores."""
    other = probe.reference
    if other is None:
        return skipped(
            "no reference was given: a fault that every request has in the same way, such as an "
            "expert that is always missing, is found with --reference URL only"
        )
    raw = await raw_texts(probe, other)
    chat = await chat_answers(probe, other)
    everything = [*raw, *chat]
    found = joined([one.apart for one in everything])
    if found.tokens < FEWEST:
        return skipped(f"{found.tokens} tokens have scores at both endpoints, {FEWEST} are needed")
    places = [value for one in everything for value in one.kl]
    kl = sum(places) / max(len(places), 1)
    bound = SIDES * probe.tolerance
    wrong = [one for one in everything if differs(one, bound)]
    wrong.sort(key=lambda one: one.start is None)  # what says where first
    figures = {"kl": kl, "mean": found.mean, "worst": found.worst, "tokens": float(found.tokens)}
    return measured(
        max((mean(one.kl) for one in everything), default=0.0),
        DIVERGED,
        what=f"{found.tokens} tokens differ from the reference by {found}, KL {kl:.4f}",
        cause=cause(raw, chat, bound),
        faults=[told(one) for one in wrong],
        measures=figures,
    )


async def raw_texts(probe: Probe, other: Probe) -> list[ComparedScores]:
    """Short passages and a long one, scored as prompts; empty where a side does not score them."""
    try:
        size = await prompt_room(probe)
        most = min(
            size.longest,
            int(size.longest * (await told_context(other) or size.tokens) / size.tokens),
        )
        texts = [passage(f"{probe.seed}/reference/{number}", 400) for number in range(PASSAGES)]
        texts.append(text_of(f"{probe.seed}/reference", most, size.width))
        return [
            compared(
                (await complete(probe, text, echo=True)).prompt,
                (await complete(other, text, echo=True)).prompt,
                chosen=False,
            )
            for text in texts
        ]
    except NotOfferedError:
        return []


async def chat_answers(probe: Probe, other: Probe) -> list[ComparedScores]:
    """Greedy answers, up to where their texts part; none where a side gives no scores."""
    try:
        pairs = [
            [
                (await chat_scored(side, [user(question)], max_tokens=TOLD)).output
                for side in (probe, other)
            ]
            for question in SMALL_QUESTIONS
        ]
    except NotOfferedError:
        return []
    return [compared(mine, theirs, chosen=True) for mine, theirs in pairs]


def compared(mine: Scores, theirs: Scores, *, chosen: bool) -> ComparedScores:
    """One text's two scorings. After the texts part, nothing is comparable."""
    apart = difference(theirs, mine, chosen=chosen)
    same = len(theirs) if apart.parted is None else apart.parted + chosen
    return ComparedScores(apart, tuple(divergence(theirs[:same], mine[:same])))


def differs(one: ComparedScores, bound: float) -> bool:
    """Whether a text's scores lie further apart than two correct engines."""
    return one.apart.exceeds(bound) or mean(one.kl) > DIVERGED or one.start is not None


def told(one: ComparedScores) -> str:
    """Where and how far a text's scores lie apart."""
    start = one.start
    where = f"from token {start:,} on " if start else ""
    return f"{where}the scores differ by {one.apart}, KL {mean(one.kl):.3f}"


def cause(raw: list[ComparedScores], chat: list[ComparedScores], bound: float) -> str:
    """What is likely, and what to do."""
    if any(differs(one, bound) and one.start for one in raw):
        return (
            "Right at first and wrong from a position on: rope scaling is wrong or the context is "
            "cut; compare rope_scaling of config.json with what the engine logs"
        )
    if raw and not any(differs(one, bound) for one in raw):
        return "Raw text agrees and chat does not: another template, or a system prompt is added"
    return (
        "Wrong from the start: an expert missing or doubled (expert parallelism), other weights "
        "or scales, a wrong rope; compare layer by layer, one feature switched off at a time"
    )


def mean(values: tuple[float, ...]) -> float:
    """0 for none."""
    return sum(values) / len(values) if values else 0.0
