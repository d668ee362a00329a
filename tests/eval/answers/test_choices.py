"""Forty texts that settle on an option count for it, forty that do not, do not."""

import pytest

from openk2.eval.answers.choices import choice_answer

# the letter that the text settles on, the text
RIGHT = [
    ("C", "C"),
    ("C", "(C)"),
    ("C", "C."),
    ("C", "C. mitochondria"),
    ("C", "**C**"),
    ("C", "Answer: C"),
    ("C", "answer: c"),
    ("C", "**Answer:** C"),
    ("C", "Answer: **C**"),
    ("C", "ANSWER: (C)"),
    ("C", "The answer is C."),
    ("C", "The answer is (C), since the others fail."),
    ("C", "The correct answer is **C. Mitochondria**."),
    ("C", "Therefore, the best option is: C"),
    ("C", "So the final answer is $\\boxed{C}$."),
    ("C", "\\boxed{\\text{C}}"),
    ("C", "\\boxed{(C)}"),
    ("C", "\\[\\boxed{\\textbf{(C)}\\ 42}\\]"),
    ("C", "Option C is correct."),
    ("C", "C is the correct answer."),
    ("C", "I would choose C."),
    ("C", "The answer is A? No: B fails too. The answer is C."),
    ("C", "\\boxed{A} was my guess. Answer: C"),
    ("C", "Answer: A\n\nOn reflection, \\boxed{C}."),
    ("C", "A is wrong, B is wrong.\n\nC"),
    ("C", "答案：C"),
    ("C", "答案是 C。"),
    ("C", "正确答案为（C）"),
    ("C", "故选C"),
    ("C", "因此选择 C。"),
    ("C", "综上所述，本题应选 C 项。"),
    ("C", "A、B都不对，所以选C"),
    ("C", "C选项正确"),
    ("C", "其中正确的是C。"),
    ("C", "答案：Ｃ"),
    ("C", "<think>The answer is B.</think>\nAnswer: C"),
    ("C", "```\nAnswer: C\n```"),
    ("A", "The answer is A because the rest is false."),
    ("A", "The correct option is A."),
    ("I", "Answer: I"),
    ("J", "The answer is (J)."),
    ("D", "Let's think step by step. Copper melts at 1085 °C, so B is out. The answer is (D)."),
    ("B", "Among A, B, C and D, the answer must be B"),
]
# what the text does not settle on, the text
WRONG = [
    ("C", "D"),
    ("C", "Answer: D"),
    ("C", "The answer is not C."),
    ("C", "Option C is incorrect."),
    ("C", "Option C is not correct."),
    ("C", "C is wrong."),
    ("C", "The answer cannot be C"),
    ("C", "The answer is B or C."),
    ("C", "The answer is C or D."),
    ("C", "Answer: A, C"),
    ("C", "Answer: C and D"),
    ("C", "\\boxed{C, D}"),
    ("C", "\\boxed{B}"),
    ("C", "答案：A、C"),
    ("C", "答案不是C"),
    ("C", "C选项不正确"),
    ("C", "C项错误，故选D"),
    ("C", "答案：D"),
    ("C", "The answer is C. Wait, no. The answer is D."),
    ("C", "Answer: C\n\nActually, let me correct this. Answer: B"),
    ("C", "\\boxed{C}? No, \\boxed{A}."),
    ("C", "It is 30 °C outside."),
    ("C", "Vitamin C"),
    ("C", "The answer is Carbon."),
    ("C", "Answer: C++"),
    ("C", "The answer is CO2."),
    ("C", "The answer is C-reactive protein"),
    ("C", ""),
    ("C", "I do not know."),
    ("C", "<think>Answer: C</think>"),
    ("C", "The answer is \\boxed{"),
    ("A", "The answer is a dog."),
    ("A", "The answer is A dog and its owner."),
    ("A", "A long time ago"),
    ("A", "A question like this one needs care."),
    ("I", "I think this one is hard."),
    ("I", "I'm not sure."),
    ("I", "The answer is I don't know"),
    ("A", "None of A, B, C and D."),
    ("B", "Either B or C could be right."),
    ("B", "The answer depends on B."),
    ("D", "Answer: it depends"),
]


@pytest.mark.parametrize(("letter", "text"), RIGHT)
def test_a_text_settles_on_its_letter(letter: str, text: str) -> None:
    assert choice_answer(text) == letter


@pytest.mark.parametrize(("letter", "text"), WRONG)
def test_a_text_does_not_settle_on_another_letter(letter: str, text: str) -> None:
    assert choice_answer(text) != letter


def test_there_are_forty_of_each() -> None:
    assert min(len(RIGHT), len(WRONG)) >= 40


def test_a_letter_that_is_no_option_is_no_answer() -> None:
    assert choice_answer("Answer: H", "ABCD") is None
    assert choice_answer("Answer: H", "ABCDEFGHIJ") == "H"
