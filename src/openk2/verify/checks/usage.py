"""Token counts, where clients and where the vendor's checks read them."""

from collections.abc import Mapping
from typing import Any

from openk2.verify.cases import ERRANDS, SMALL_TALK, TOOLS, user
from openk2.verify.outcome import CheckOutcome, judged
from openk2.verify.wire.probe import Probe, all_of
from openk2.verify.wire.reply import Reply


async def usage(probe: Probe) -> CheckOutcome:
    """Whole answers and the last chunk of streams have usage; `choices[0].usage` is looked for."""
    asked: list[tuple[str, dict[str, Any]]] = [(SMALL_TALK[0], {}), (ERRANDS[0], {"tools": TOOLS})]
    pairs = await all_of(probe.both([user(question)], **fields) for question, fields in asked)
    faults = []
    for whole, streamed in pairs:
        faults += count_faults("a whole answer", whole.usage)
        faults += count_faults("a stream with include_usage", streamed.usage)
        faults += place_faults(streamed)
        if whole.tokens("prompt") != streamed.tokens("prompt"):
            faults.append("prompt_tokens of the whole answer and of the stream differ")
    found = judged(
        2 * len(pairs),
        faults,
        passed="usage is where clients read it",
        remedy="send usage with whole answers, and in a last chunk without choices",
    )
    if found.status == "pass" and not all(streamed.choice_usage for _, streamed in pairs):
        seen = "choices[0].usage, where the vendor's checks read it, is missing: send it too."
        return CheckOutcome("warn", found.figure, seen)
    return found


def count_faults(where: str, counts: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with one usage object."""
    if not counts:
        return [f"{where} has no usage"]
    prompt, answer = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(answer, int) or prompt < 1 or answer < 1:
        return [f"{where} counts {prompt!r} tokens of prompt and {answer!r} of answer"]
    if counts.get("total_tokens") != prompt + answer:
        return [f"{where} has total_tokens {counts.get('total_tokens')!r}, not {prompt + answer}"]
    return []


def place_faults(streamed: Reply) -> list[str]:
    """Usage in a chunk of its own, the last one."""
    last = streamed.chunks[-1] if streamed.chunks else {}
    if streamed.usage and (last.get("choices") or not last.get("usage")):
        return ["the last chunk of a stream with include_usage is not that of its usage"]
    return []
