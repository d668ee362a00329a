"""IFEval's 25 verifiable instructions (arXiv 2311.07911), each a check of a response.

The checks decide as the published code does, its quirks included: `less than` and `at least` are
its only relations, a keyword is a regular expression, `*a*` and `**a**` both count as highlights.
Languages are detected by langdetect, as there, but seeded, since it draws at random.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from threading import Lock
from typing import Any

from openk2.data.error import DataError
from openk2.eval.answers.sentences import count_capital_words, count_sentences, count_words

Arguments = Mapping[str, Any]
Check = Callable[[str, Arguments], bool]

# A response of 8,192 tokens has far fewer characters; some patterns below are quadratic.
MAX_CHARS = 2**17
_LOADING = Lock()

RESPONSES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def follows(instruction: str, arguments: Arguments, response: str) -> bool:
    """Whether a response follows an instruction, by its id. A blank response follows none."""
    check = CHECKS.get(instruction)
    if check is None:
        raise DataError(f"instruction {instruction!r} is none of IFEval's 25")
    return bool(response.strip()) and len(response) <= MAX_CHARS and check(response, arguments)


def check_arguments(instruction: str, arguments: Arguments) -> None:
    """Raises DataError for an unknown instruction, and for one without an argument it needs."""
    if instruction not in CHECKS:
        raise DataError(f"no instruction {instruction!r} among IFEval's 25")
    try:
        if instruction == "language:response_language":
            arguments["language"]
        elif not instruction.startswith("change_case:english"):
            CHECKS[instruction]("a", arguments)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{instruction} with {dict(arguments)}: {error!r}") from None


def related(count: int, relation: str | None, threshold: int) -> bool:
    """`less than` or `at least` a threshold."""
    if relation == "less than":
        return count < threshold
    if relation == "at least":
        return count >= threshold
    raise DataError(f"relation {relation!r} must be 'less than' or 'at least'")


def in_language(text: str, language: str) -> bool:
    """langdetect's verdict; a text without letters is in every language, as in the published code.

    Raises ModuleNotFoundError without langdetect.
    """
    from langdetect import DetectorFactory, LangDetectException, detect
    from langdetect.detector_factory import init_factory

    with _LOADING:  # a second thread would find it without its languages, and every text follows
        DetectorFactory.seed = 0
        init_factory()
    try:
        return bool(detect(text) == language)
    except LangDetectException:
        return True


def need_langdetect() -> None:
    """Raises ModuleNotFoundError, with the remedy, if langdetect is not installed."""
    if find_spec("langdetect") is None:
        raise ModuleNotFoundError(
            "IFEval's language checks need langdetect: pip install 'openk2[eval]'",
            name="langdetect",
        )


def found(pattern: str, text: str) -> int:
    """Matches of a keyword, which is a regular expression; of its text if it is not a valid one."""
    try:
        return len(re.findall(pattern, text, re.IGNORECASE))
    except re.error:
        return text.lower().count(pattern.lower())


def paragraphs(text: str, count: int) -> bool:
    """Exactly `count` parts between `***` lines; only the outermost may be blank."""
    parts = re.split(r"\s?\*\*\*\s?", text)
    if any(not part.strip() for part in parts[1:-1]):
        return False
    ends = parts[:1] + parts[1:][-1:]
    return len(parts) - sum(not part.strip() for part in ends) == count


def first_word_of_paragraph(text: str, arguments: Arguments) -> bool:
    """`num_paragraphs` parts between blank lines, of which the nth starts with `first_word`."""
    parts = text.split("\n\n")
    count = sum(bool(part.strip()) for part in parts)
    nth = arguments["nth_paragraph"]
    if nth > count or not (paragraph := parts[nth - 1].strip()):
        return False
    word = paragraph.split()[0].lstrip("'").lstrip('"')
    start = re.split(r"[.,?!'\"]", word, maxsplit=1)[0].lower()
    return bool(count == arguments["num_paragraphs"] and start == arguments["first_word"].lower())


def highlights(text: str) -> int:
    """Parts in `*...*` and, once more, in `**...**`, that are not blank."""
    single = [part for part in re.findall(r"\*[^\n*]*\*", text) if part.strip("*").strip()]
    double = [part for part in re.findall(r"\*\*[^\n*]*\*\*", text) if part[2:-2].strip()]
    return len(single) + len(double)


def bullets(text: str) -> int:
    """Lines that start with `-`, or with a `*` that no second one follows."""
    stars = re.findall(r"^[^\S\n]*\*[^*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^[^\S\n]*-.*$", text, re.MULTILINE)
    return len(stars) + len(dashes)


def placeholders(text: str) -> int:
    """`[...]` within a line."""
    return sum("[" in part for line in text.split("\n") for part in line.split("]")[:-1])


def postscript(text: str, marker: str) -> bool:
    """Whether the marker occurs, in lower case; those of the paper with spaces after their dots."""
    patterns = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    lower = text.lower()
    return re.search(patterns.get(marker.strip(), marker.strip().lower()), lower) is not None


def valid_json(text: str) -> bool:
    """JSON, in a code fence or without one."""
    text = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def two_responses(text: str) -> bool:
    """Two different parts between `******`; a blank one may only be the first or last."""
    parts = text.split("******")
    if any(not part.strip() for part in parts[1:-1]):
        return False
    said = [part.strip() for part in parts if part.strip()]
    return len(said) == 2 and said[0] != said[1]


def titled(text: str) -> bool:
    """`<<title>>` on one line: from its first `<<` to its last `>>`, with a title in it."""
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end - 2 and line[start : end + 2].lstrip("<").rstrip(">").strip():
            return True
    return False


def quoted(text: str) -> bool:
    """The whole response in double quotes."""
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


def sections(text: str, splitter: str, count: int) -> bool:
    """At least `count` headings such as `Section 1`."""
    return len(re.split(rf"\s?{splitter.strip()}\s?\d+\s?", text)) - 1 >= count


CHECKS: dict[str, Check] = {
    "keywords:existence": lambda text, a: all(found(word, text) for word in a["keywords"]),
    "keywords:frequency": lambda text, a: related(
        found(a["keyword"].strip(), text), a["relation"], a["frequency"]
    ),
    "keywords:forbidden_words": lambda text, a: (
        not any(found(rf"\b{word}\b", text) for word in a["forbidden_words"])
    ),
    "keywords:letter_frequency": lambda text, a: related(
        Counter(text.lower())[a["letter"].strip().lower()], a["let_relation"], a["let_frequency"]
    ),
    "language:response_language": lambda text, a: in_language(text, a["language"]),
    "length_constraints:number_sentences": lambda text, a: related(
        count_sentences(text), a["relation"], a["num_sentences"]
    ),
    "length_constraints:number_paragraphs": lambda text, a: paragraphs(text, a["num_paragraphs"]),
    "length_constraints:number_words": lambda text, a: related(
        count_words(text), a["relation"], a["num_words"]
    ),
    "length_constraints:nth_paragraph_first_word": first_word_of_paragraph,
    "detectable_content:number_placeholders": lambda text, a: (
        placeholders(text) >= a["num_placeholders"]
    ),
    "detectable_content:postscript": lambda text, a: postscript(text, a["postscript_marker"]),
    "detectable_format:number_bullet_lists": lambda text, a: bullets(text) == a["num_bullets"],
    "detectable_format:constrained_response": lambda text, a: any(
        part in text for part in RESPONSES
    ),
    "detectable_format:number_highlighted_sections": lambda text, a: (
        highlights(text) >= a["num_highlights"]
    ),
    "detectable_format:multiple_sections": lambda text, a: sections(
        text, a["section_spliter"], a["num_sections"]
    ),
    "detectable_format:json_format": lambda text, a: valid_json(text),
    "detectable_format:title": lambda text, a: titled(text),
    "combination:two_responses": lambda text, a: two_responses(text),
    "combination:repeat_prompt": lambda text, a: (
        text.strip().lower().startswith(a["prompt_to_repeat"].strip().lower())
    ),
    "startend:end_checker": lambda text, a: (
        text.strip().strip('"').lower().endswith(a["end_phrase"].strip().lower())
    ),
    "startend:quotation": lambda text, a: quoted(text),
    "change_case:capital_word_frequency": lambda text, a: related(
        count_capital_words(text), a["capital_relation"], a["capital_frequency"]
    ),
    "change_case:english_capital": lambda text, a: text.isupper() and in_language(text, "en"),
    "change_case:english_lowercase": lambda text, a: text.islower() and in_language(text, "en"),
    "punctuation:no_comma": lambda text, a: "," not in text,
}
