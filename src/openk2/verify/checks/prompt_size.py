"""What stands in the prompt beside what was sent: a second template, BOS, a system prompt.

No vocabulary is needed. The text of these prompts is "1\\n1\\n...1", of which n and 2n lines differ
by n lines of tokens, and a lone "1" is one token in every byte-level vocabulary; so its size
follows. The size of a turn is what it adds when it comes twice.
"""

from openk2.chat import render
from openk2.verify.cases import MessageJson, user
from openk2.verify.checks.template import exact, size_of
from openk2.verify.differences import difference
from openk2.verify.outcome import CheckOutcome, judged, measured, skipped
from openk2.verify.wire.probe import NotOfferedError, Probe
from openk2.verify.wire.scorer import chat_scored, complete

LINES = 12
SYSTEM = {"role": "system", "content": "Be brief."}
REMEDY = "apply the template once, in one place, and add no special token to its result"
# K2-Thinking and later write an empty thought into an earlier turn of the assistant, which makes
# the prompt look 1 or 2 tokens short.
THOUGHT_TOKENS = (-2, -1)
TOLD = 12
OPENINGS = ("", "<think>", "<think></think>")


def lines(count: int) -> str:
    """`count` lines and a last "1"."""
    return "1\n" * count + "1"


async def prompt_count(probe: Probe) -> CheckOutcome:
    """Prompts hold what was sent and nothing else, in chat and in raw completions."""
    faults: list[str] = []
    reasons: list[str] = []
    found: dict[str, float] = {}
    counts = (
        ("chat prompts", chat_excess, (0, *THOUGHT_TOKENS)),
        ("raw prompts", raw_excess, (0,)),
    )
    for what, excess_of, allowed in counts:
        try:
            excess = await excess_of(probe)
        except NotOfferedError as error:
            reasons.append(f"{what} were not counted: {error}")
            continue
        found[what] = float(excess)
        if excess not in allowed:
            faults.append(f"{what} have {excess_told(excess)}")
    if not found:
        return skipped("; ".join(reasons))
    said = f"{' and '.join(found)} hold what was sent and nothing else"
    passed = "; ".join([said, *reasons])
    return judged(len(found), faults, passed=passed, remedy=REMEDY, measures=found)


async def chat_excess(probe: Probe) -> int:
    """Tokens of a chat prompt that no turn of it accounts for, or with a tokenizer, that our own
    rendering does not have. Raises NotOfferedError."""
    question = user(lines(LINES))
    asked: list[list[MessageJson]] = [
        [SYSTEM, question],
        [SYSTEM, SYSTEM, question],
        [SYSTEM, question, question],
        [SYSTEM, question, {"role": "assistant", "content": lines(LINES)}, question],
        [SYSTEM, user(lines(2 * LINES))],
    ]
    if probe.tokenizer is not None:
        return await size_of(probe, asked[0]) - exact(probe, asked[0])
    whole, twice, again, answered, longer = [await size_of(probe, one) for one in asked]
    text = longer - whole + 1
    # The header that asks for an answer is that of an assistant's turn without <|im_end|>.
    header = answered - again - text - 1
    return whole - (twice - whole) - (again - whole) - header


async def raw_excess(probe: Probe) -> int:
    """Tokens of a raw prompt that its text does not have. Raises NotOfferedError."""
    short = await complete(probe, lines(LINES))
    longer = await complete(probe, lines(2 * LINES))
    return short.prompt_tokens - (longer.prompt_tokens - short.prompt_tokens + 1)


def excess_told(excess: int) -> str:
    """So many tokens, and what they are most likely."""
    if excess < 0:
        return f"{-excess} tokens less than its turns: something is left out"
    if excess <= 2:
        return f"{excess} tokens too many: BOS before it, or twice"
    return f"{excess} tokens too many: a second template, or a system prompt nobody sent"


async def chat_equals_raw(probe: Probe) -> CheckOutcome:
    """A chat prompt has the scores of the same prompt, rendered here and sent raw."""
    messages = [SYSTEM, user("Name the planets, one in a line.")]
    chat = await chat_scored(probe, messages, max_tokens=TOLD)
    rendered = "".join(piece.text for piece in render(messages))
    raws = [await complete(probe, rendered + opening, max_tokens=TOLD) for opening in OPENINGS]
    # Of the styles of K2's templates, the one that the endpoint uses has the size of its prompt.
    same = [raw for raw in raws if raw.prompt_tokens == chat.prompt_tokens]
    if not same:
        sizes = ", ".join(str(raw.prompt_tokens) for raw in raws)
        return skipped(
            f"the chat prompt has {chat.prompt_tokens} tokens and ours {sizes}, so that they "
            "cannot be compared; prompt-count says whether that is a fault"
        )
    found = difference(chat.output, same[0].output)
    faults = [f"chat answers have other scores than the same prompt sent raw: {found}"]
    return measured(
        found.mean,
        probe.tolerance,
        what=f"chat and our rendering of the prompt differ by {found} over {found.tokens} tokens",
        cause="The sizes agree, so the model is given other text than is counted (a second "
        f"template or a system prompt after a gateway): {REMEDY}",
        faults=faults if found.exceeds(probe.tolerance) else (),
        measures={"mean": found.mean, "worst": found.worst},
    )
