"""LiveBench's scoring rules by task (arXiv 2406.19314), for the tasks whose rule is plain.

Elsewhere: coding (`tasks/livebench.py`) and tablereformat (`livebench_tables.py`).
"""

import ast
import json
import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from openk2.eval.answers.boxed import last_boxed
from openk2.eval.answers.choices import choice_answer
from openk2.eval.answers.math import math_answer, same_math
from openk2.eval.answers.numbers import number_answer, same_number
from openk2.eval.answers.text import answer_part, bare

TaskRule = Callable[[str, str], float]

MAX_ITEMS = 200  # of a list that is compared by edits; the longest reference has under 60
_REPEATED = re.compile(r"(?<![A-Za-z])([A-E])\1{3,}(?![A-Za-z])")
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")


def tagged(text: str, tag: str) -> str | None:
    """What the last `<tag>...</tag>` holds, in any letter case."""
    lower = text.lower()
    end = lower.rfind(f"</{tag}>")
    start = lower.rfind(f"<{tag}>", 0, end if end >= 0 else len(text))
    if start < 0:
        return None
    return text[start + len(tag) + 2 : end if end > start else len(text)].strip()


def stated(text: str) -> str:
    """The answer of a short form: in solution tags, a box, bold, or the last line."""
    text = answer_part(text)
    bold = _BOLD.findall(text)
    found = tagged(text, "solution") or last_boxed(text) or (bold[-1] if bold else None)
    return bare(found or text.strip().rpartition("\n")[2])


def items(text: str) -> list[str]:
    """A list with commas, in lower case."""
    parts = re.split(r"[,\n]", re.sub(r"\\text\{|[{}\[\]\"']", "", text))
    return [bare(part).casefold() for part in parts if bare(part)][: MAX_ITEMS + 1]


def edits(ours: Sequence[str], right: Sequence[str]) -> int:
    """Levenshtein distance of two lists."""
    row = list(range(len(right) + 1))
    for i, mine in enumerate(ours, 1):
        previous, row[0] = row[0], i
        for j, theirs in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (mine != theirs))
    return row[-1]


def exact(text: str, reference: str) -> float:
    """The same list, or the same words: web_of_lies_v2, spatial, house_traversal."""
    return float(items(stated(text)) == items(reference))


def contest(text: str, reference: str) -> float:
    """A letter, repeated as the prompt asks (CCCCC), boxed or announced: AMC and SMC."""
    repeated = _REPEATED.findall(answer_part(text))
    return float((repeated[-1] if repeated else choice_answer(text, "ABCDE")) == reference.strip())


def olympiad_number(text: str, reference: str) -> float:
    """The three digits at the text's end, or the final number: AIME."""
    at_end = re.search(rf"(?<!\d){re.escape(reference.strip())}(?!\d)", answer_part(text)[-50:])
    return float(at_end is not None or same_number(number_answer(text), reference))


def rearrangement(text: str, reference: str) -> float:
    """1 less the share of edits between two lists of formula numbers: IMO and USAMO."""
    after = answer_part(text).lower().rpartition("answer:")[2]
    ours = re.findall(r"\d{1,4}", after.strip().split("\n", 1)[0])[:MAX_ITEMS]
    right = re.findall(r"\d+", reference)
    return max(0.0, 1 - edits(ours, right) / max(len(ours), len(right), 1)) if ours else 0.0


def formula(text: str, reference: str) -> float:
    """The boxed formula: AMPS_Hard."""
    return float(same_math(math_answer(text), reference.strip().strip("$")))


def zebra(text: str, reference: str) -> float:
    """Half for each answer that is right, half for all of them: zebra_puzzle."""
    ours, right = items(stated(text)), items(reference)
    if not right:
        return 0.0
    count = sum(mine == theirs for mine, theirs in zip(ours, right, strict=False))
    return (count / len(right) + (count == len(right))) / 2


def connections(text: str, reference: str) -> float:
    """Groups of four words that are right, in any order within and between: connections."""
    ours, right = (
        [frozenset(words[i : i + 4]) for i in range(0, len(words), 4)]
        for words in (items(stated(text)), items(reference))
    )
    return sum(group in ours for group in right) / len(right) if right else 0.0


def typos(text: str, reference: str) -> float:
    """The corrected text, word for word: typos."""
    said = tagged(text, "solution") or text
    return float(" ".join(reference.split()) in " ".join(said.split()))


def sentences(text: str) -> list[str]:
    """Sentences at full stops."""
    return [part.strip() for part in text.replace("\n", " ").split(".") if part.strip()][:MAX_ITEMS]


def plot(text: str, reference: str) -> float:
    """1 less the share of edits that put the sentences in order, each known by its likeness."""
    said = tagged(text, "plot_summary") or tagged(text, "solution") or text
    right = sentences(reference)
    order = []
    for sentence in sentences(said)[: 2 * len(right)]:
        near = [SequenceMatcher(None, sentence[:300], other[:300]).quick_ratio() for other in right]
        order.append(str(near.index(max(near))))
    wanted = [str(number) for number in range(len(right))]
    return max(0.0, 1 - edits(order, wanted) / max(len(order), len(wanted), 1)) if order else 0.0


def column(text: str, reference: str) -> float:
    """The column's type: cta. The last word or words of the answer."""
    ours = re.sub(r"[^\w ]", "", stated(text)).strip().casefold()
    right = re.sub(r"[^\w ]", "", reference).strip().casefold()
    return float(bool(right) and (ours == right or ours.endswith(f" {right}")))


def join(text: str, reference: str) -> float:
    """F1 of the columns that are mapped onto each other: tablejoin."""
    ours, right = mapping(tagged(text, "solution") or text), mapping(reference)
    if not ours or not right:
        return 0.0
    shared = sum(right.get(key) == value for key, value in ours.items())
    return round(2 * shared / (len(ours) + len(right)), 2)


def mapping(text: str) -> dict[str, str] | None:
    """The last `{...}` of a text as a dictionary of texts, JSON or Python; nulls left out."""
    end = text.rfind("}")
    start = text.rfind("{", 0, end)
    if start < 0 or end - start > 20_000:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text[start : end + 1])
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(found, dict):
            return {str(key): str(value) for key, value in found.items() if value is not None}
    return None


RULES: dict[str, TaskRule] = {
    "AMPS_Hard": formula,
    "web_of_lies_v2": exact,
    "spatial": exact,
    "house_traversal": exact,
    "zebra_puzzle": zebra,
    "connections": connections,
    "plot_unscrambling": plot,
    "typos": typos,
    "cta": column,
    "tablejoin": join,
}


def rule_of(task: str, subtask: str) -> TaskRule | None:
    """The rule of a task; competitions are told apart by their subtask, such as `amc_2023`."""
    if task == "math_comp":
        return olympiad_number if "aime" in subtask else contest
    if task == "olympiad":
        return rearrangement
    return RULES.get(task)
