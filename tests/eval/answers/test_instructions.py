"""Each of IFEval's 25 instructions has a response that follows it and one that does not."""

from typing import Any

import pytest

from openk2.eval.answers.instructions import CHECKS, check_arguments, follows
from openk2.eval.answers.sentences import count_capital_words, count_sentences
from openk2.record import DataError

AT_LEAST_2 = {"relation": "at least", "frequency": 2, "num_sentences": 2, "num_words": 2}
SECOND_IS_B = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "B"}
HINDI = "यह एक किताब है और मैं इसे पढ़ रहा हूँ।"

# kind, arguments, follows, does not
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["ox", "hen"]}, "An Ox and hens", "An ox"),
    ("keywords:frequency", {**AT_LEAST_2, "keyword": "ox"}, "Ox, box", "ox"),
    ("keywords:forbidden_words", {"forbidden_words": ["ox"]}, "a box", "An OX."),
    (
        "keywords:letter_frequency",
        {"letter": "Q", "let_relation": "less than", "let_frequency": 2},
        "a q",
        "q Q",
    ),
    ("language:response_language", {"language": "hi"}, HINDI, "This is a book that I read."),
    ("length_constraints:number_sentences", AT_LEAST_2, "I saw Dr. Ox. He left.", "I saw Dr. Ox."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***", "a\n\nb"),
    ("length_constraints:number_words", AT_LEAST_2, "a-b", "ab"),
    ("length_constraints:nth_paragraph_first_word", SECOND_IS_B, 'a\n\n"b, c', "a\n\nc b"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] [b]", "[a\n] [b]"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "a\np. p.s: b", "P.S. b"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n - b", "* a\n** b"),
    ("detectable_format:constrained_response", {}, "So: My answer is no.", "My answer is: no."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* *b*", "*a* **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1 a Section 2",
        "Section a, Section 1",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{'a': 1}"),
    ("detectable_format:title", {}, "<<a>>\nb", "<< >> <a>"),
    ("combination:two_responses", {}, "a******b", "a******a"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say A."}, "say a. A", "Sure! Say A. A"),
    ("startend:end_checker", {"end_phrase": "The end."}, 'a the END."', "The end. a"),
    ("startend:quotation", {}, ' "a" ', '"a".'),
    (
        "change_case:capital_word_frequency",
        {"capital_relation": "at least", "capital_frequency": 2},
        "AN OX",
        "AN Ox",
    ),
    ("change_case:english_capital", {}, "THIS IS A BOOK THAT I READ", "THIS IS A Book THAT I READ"),
    ("change_case:english_lowercase", {}, "this is a book that i read", "this is a Book"),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
]


@pytest.mark.parametrize(("kind", "arguments", "right", "wrong"), CASES)
def test_an_instruction_tells_right_from_wrong(
    kind: str, arguments: dict[str, Any], right: str, wrong: str
) -> None:
    if "language" in kind or "english" in kind:
        pytest.importorskip("langdetect")
    check_arguments(kind, arguments)
    assert follows(kind, arguments, right)
    assert not follows(kind, arguments, wrong)
    assert not follows(kind, arguments, " \n")


def test_every_kind_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(CHECKS)
    assert len(CHECKS) == 25


def test_what_cannot_be_checked_is_an_error_of_the_data() -> None:
    for kind, arguments in (("a:b", {}), ("keywords:existence", {}), ("keywords:frequency", {})):
        with pytest.raises(DataError):
            check_arguments(kind, arguments)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("No mark", 1),
        ("One. Two! Three?", 3),
        ("Mr. Ox of the U.S. Army paid $3.50.", 1),
        ("Say, e.g. this, i.e. that, etc. and so on", 4),
        ("He put 'yes.', 'no.' and 'maybe.'", 3),
        ("Saunas help.[2] Be careful.[3] Always", 3),
        ('He said "no." Then he left.', 2),
        ("Wait... What? (Yes.) ok", 4),
        ("1. First\n2. Second", 3),
        ("1. first\n2. second", 1),
        ("J. R. Ox wrote it. The end", 2),
    ],
)
def test_sentences_end_where_punkt_ends_them(text: str, count: int) -> None:
    assert count_sentences(text) == count


def test_contractions_are_two_capital_words() -> None:
    assert count_capital_words("I CAN'T. U.S. A-B h2o H2O Ox") == 6
