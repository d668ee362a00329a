"""How models write a final answer, by family: the texts that agreement.py gives to two scorers.

A shape writes one answer, `said`, into a text. Another answer, `other`, may be mentioned before.
Whether the text should count follows from the shape and from which answer is said, so where two
scorers differ it is known which of them is right.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

Write = Callable[[str, str, Random], str | None]


@dataclass(frozen=True)
class Shape:
    """write: (said, other, rng) -> the text, None if this answer cannot be written so.

    states: whether the text settles on `said`; if not it is wrong, whatever is said.
    """

    name: str
    write: Write
    states: bool = True


@dataclass(frozen=True)
class Written:
    """A text, its shape's name, and whether it should count."""

    text: str
    shape: str
    right: bool


def written(shapes: Sequence[Shape], right: str, wrong: str, rng: Random) -> Written:
    """A text in a random shape that takes this answer; half of those that state one are wrong."""
    while True:
        shape = rng.choice(shapes)
        correct = rng.random() < 0.5
        said, other = (right, wrong) if correct else (wrong, right)
        text = shape.write(said, other, rng)
        if text is not None:
            return Written(text, shape.name, correct and shape.states)


def form(template: str) -> Write:
    """A template with @ for what is said and ~ for the other answer."""

    def write(said: str, other: str, rng: Random) -> str:
        return re.sub("[@~]", lambda found: said if found[0] == "@" else other, template)

    return write


def thousands(said: str, separator: str) -> str | None:
    """A whole number of five digits or more, with separators."""
    if not re.fullmatch(r"-?\d{4,15}", said):
        return None
    return f"{int(said):,}".replace(",", separator)


def whole(said: str) -> str | None:
    """A whole number's digits."""
    return said if re.fullmatch(r"-?\d{1,15}", said) else None


def fraction(said: str) -> Fraction | None:
    """A fraction as LaTeX writes it."""
    found = re.fullmatch(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}", said)
    return Fraction(int(found[1] + found[2]), int(found[3])) if found else None


def boxed(inner: Callable[[str], str | None]) -> Write:
    """What becomes of the answer, in a box at the end of a solution."""

    def write(said: str, other: str, rng: Random) -> str | None:
        changed = inner(said)
        return None if changed is None else f"Adding the parts gives $\\boxed{{{changed}}}$."

    return write


def slashed(said: str) -> str | None:
    value = fraction(said)
    return None if value is None else f"{value.numerator}/{value.denominator}"


def decimal(said: str) -> str | None:
    value = fraction(said)
    if value is None or 10**4 % value.denominator:
        return None
    return str(float(value))


def spaced(said: str) -> str | None:
    changed = re.sub(r"([(,])", r"\1 ", said.replace("(", r"\left(").replace(")", r"\right)"))
    return changed if changed != said and said.count("(") == said.count(")") else None


def other_frac(said: str) -> str | None:
    return said.replace(r"\frac", r"\dfrac") if r"\frac" in said else None


def as_text(said: str) -> str | None:
    return rf"\text{{{said}}}" if whole(said) else None


def unlike_letter(said: str) -> str | None:
    return None if re.search(r"=|\\in\b", said) else f"x = {said}"


MATH = (
    Shape("boxed", form(r"We compute step by step. So the result is $\boxed{@}$.")),
    Shape("boxed, display", form("Therefore\n\\[\n\\boxed{@}\n\\]\nas claimed.")),
    Shape("two boxes, the last counts", form(r"First I get $\boxed{~}$. No, it is $\boxed{@}$.")),
    Shape("bold heading, box", form("**Final Answer**\n\n$$\\boxed{@}$$")),
    Shape("thinking, then box", form("<think>$\\boxed{~}$</think>\nIt is \\boxed{@}")),
    Shape("fence around the box", form("The result:\n```\n\\boxed{@}\n```")),
    Shape("announced, dollars", form("The final answer is $@$.")),
    Shape("Minerva's ending", form("Final Answer: The final answer is $@$. I hope it is correct.")),
    Shape("announced, no dollars", lambda said, _, rng: whole(said) and f"The answer is {said}."),
    Shape("Answer:, no dollars", lambda said, _, rng: whole(said) and f"So.\n\nAnswer: {said}"),
    Shape("Chinese, box", form(r"综上所述，答案是 $\boxed{@}$。")),
    Shape("Chinese, no box", form("所以答案为 $@$。")),
    Shape("comma in thousands", boxed(lambda said: thousands(said, ","))),
    Shape("{,} in thousands", boxed(lambda said: thousands(said, "{,}"))),
    Shape(r"\, in thousands", boxed(lambda said: thousands(said, r"\,"))),
    Shape("slash fraction", boxed(slashed)),
    Shape("finite decimal of a fraction", boxed(decimal)),
    Shape("dfrac", boxed(other_frac)),
    Shape("left, right, spaces", boxed(spaced)),
    Shape("number in \\text", boxed(as_text)),
    Shape("unit in the box", boxed(lambda said: whole(said) and rf"{said}\text{{ cm}}")),
    Shape("unit after the box", form(r"The length is $\boxed{@}$ cm.")),
    Shape("x = in the box", boxed(unlike_letter)),
    Shape("two zeros after the point", boxed(lambda said: whole(said) and f"{said}.00")),
    Shape("leading zero", boxed(lambda said: (said.isdecimal() and f"0{said}") or None)),
    Shape("dollars in the box", boxed(lambda said: whole(said) and rf"\${said}")),
    Shape("one more than that", boxed(lambda said: whole(said) and f"{said}+1"), False),
    Shape("a tenth more", boxed(lambda said: whole(said) and f"{said}.1"), False),
    Shape("two answers in the box", form(r"It is $\boxed{@ \text{ or } ~}$."), False),
    Shape("box cut off", form(r"Adding them, we find that $\boxed{@"), False),
    Shape("no answer", form("I tried several substitutions, but none of them leads on."), False),
    Shape(
        "mentioned, then another box", form(r"Not $@$, since it is even. $\boxed{-98765}$"), False
    ),
    Shape("empty", form("  \n"), False),
)

NUMBER = (
    Shape("####", form(" Half of it is 3, so we add.\n#### @")),
    Shape("####, comma", lambda s, _, rng: thousands(s, ",") and f" So.\n#### {thousands(s, ',')}"),
    Shape("####, dollar", form(" So he pays that.\n#### $@")),
    Shape("####, .00", form(" Together.\n#### @.00")),
    Shape("####, unit", form(" Together.\n#### @ apples")),
    Shape("####, full stop", form(" Together.\n#### @.")),
    Shape("####, bold", form(" Together.\n#### **@**")),
    Shape("####, equation", form(" Together.\n#### 2*3=@")),
    Shape("####, percent", form(" Together.\n#### @%")),
    Shape("####, then a sentence", form(" Together.\n#### @\nThat took 3 days.")),
    Shape("another before ####", form(" First I had ~.\n#### @")),
    Shape("The answer is", form(" Adding 2 and 3, the answer is @.")),
    Shape("The answer is, then more", form(" The answer is @. It took 7 days.")),
    Shape("The answer is, dollar", form(" Therefore the answer is $@.")),
    Shape("The answer is, unit", form(" Therefore, the final answer is @ dollars.")),
    Shape("boxed", form(r" Thus the total is $\boxed{@}$.")),
    Shape("boxed, then more", form(r" Thus the total is $\boxed{@}$, after 12 steps.")),
    Shape("last number", form(" She has 4 boxes and then she has @ left.")),
    Shape("last number, bold", form(" She has 4 boxes. **Total: @**")),
    Shape("last, comma", lambda s, _, rng: thousands(s, ",") and f" Total {thousands(s, ',')}."),
    Shape("Chinese", form("所以一共是 ~ 减 3，答案是 @。")),
    Shape("one more digit", form(" Together.\n#### @1"), False),
    Shape("a half more", form(" Together.\n#### @.5"), False),
    Shape("minus", form(" Together.\n#### -@"), False),
    Shape("mentioned before ####", form(" Not @.\n#### -98765"), False),
    Shape("a range", form(" Between.\n#### @-~"), False),
    Shape("no number", form(" I cannot tell how many."), False),
    Shape("empty", form(" "), False),
)

CHOICE = (
    Shape("Answer: X", form("Let us see. It follows from the definition.\n\nAnswer: @")),
    Shape("Answer: X, bold", form("It follows.\n\n**Answer: @**")),
    Shape("bold Answer, X", form("It follows.\n\n**Answer:** @")),
    Shape("Answer: (X)", form("It follows.\n\nAnswer: (@)")),
    Shape("Answer: X. text", form("It follows.\n\nAnswer: @. The second law")),
    Shape("Answer: boxed", form("It follows.\n\nAnswer: $\\boxed{@}$")),
    Shape("another tempting first", form("~ is tempting, but wrong.\n\nAnswer: @")),
    Shape("two Answers, the last counts", form("Answer: ~\n\nWait, no.\n\nAnswer: @")),
    Shape("The answer is (X).", form("So the answer is (@).")),
    Shape("The answer is X.", form("Therefore the answer is @.")),
    Shape("The correct answer is bold", form("The correct answer is **@**.")),
    Shape("the answer is not Y; it is X", form("The answer is not ~. The answer is @.")),
    Shape("best option", form("Therefore, the best option is (@).")),
    Shape("boxed", form(r"Therefore $\boxed{@}$.")),
    Shape("boxed text", form(r"Therefore $\boxed{\text{@}}$")),
    Shape("X is correct", form("Comparing them, option @ is correct.")),
    Shape("letter alone at the end", form("Both laws hold here.\n\n@")),
    Shape("letter alone", form("@")),
    Shape("Chinese", form("综上所述，答案是@。")),
    Shape("Chinese, full width colon", form("因为如此。\n\n答案：@")),
    Shape("thinking, then Answer", form("<think>Answer: ~</think>\nAnswer: @")),
    Shape("lower case", lambda said, _, rng: f"It follows.\n\nanswer: {said.lower()}"),
    Shape("the pronoun I, then Answer", form("I think that I know it.\n\nAnswer: @")),
    Shape("Answer, then a remark with a letter", form("Answer: @\n\nOption ~ forgets the sign.")),
    Shape("Answer: X or Y", form("Answer: @ or ~"), False),
    Shape("rejected only", form("It cannot be @, since the sign is wrong."), False),
    Shape("no letter", form("I would need the table to decide this."), False),
    Shape("Answer: none", form("Answer: none of the above"), False),
    Shape("empty", form(" "), False),
)

SHORT = (
    Shape("as it is", form(" @")),
    Shape("lower case", lambda said, _, rng: f" {said.lower()}"),
    Shape("full stop", form(" @.")),
    Shape("the ...", form(" the @")),
    Shape("then the next question", form(" @\n\nQuestion: Who wrote it?\nAnswer: ~")),
    Shape("blank line first", form("\n@")),
    Shape("quotes", form(' "@"')),
    Shape("underscore", lambda said, _, rng: " " + said.replace(" ", "_")),
    Shape("hyphen", lambda s, _, rng: " " + s.replace(" ", "-") if " " in s else None),
    Shape("sentence", form(" It is @"), False),
    Shape("with a remark", form(" @ (the elder)"), False),
    Shape("two answers", form(" @ or ~"), False),
    Shape(
        "first part only", lambda s, _, rng: f" {s[: len(s) // 2]}" if len(s) > 3 else None, False
    ),
    Shape("nothing", form(" \n"), False),
    Shape("punctuation only", form(" ..."), False),
)

# `said` and `other` are grades: A correct, B incorrect, C not attempted.
GRADE_WORDS = {"A": "CORRECT", "B": "INCORRECT", "C": "NOT_ATTEMPTED"}
GRADE_SIGNS = {"A": "正确", "B": "错误", "C": "未尝试"}
GRADE = (
    Shape("letter", form("@")),
    Shape("letter, full stop", form("@.")),
    Shape("letter, bold", form("**@**")),
    Shape("letter, new line", form("@\n")),
    Shape("letter: word", lambda said, _, rng: f"{said}: {GRADE_WORDS[said]}"),
    Shape("word", lambda said, _, rng: GRADE_WORDS[said]),
    Shape("word, bold", lambda said, _, rng: f"**{GRADE_WORDS[said]}**"),
    Shape("word, space", lambda said, _, rng: GRADE_WORDS[said].replace("_", " ")),
    Shape("reason, then word", lambda s, _, rng: f"Both say the same.\n\n{GRADE_WORDS[s]}"),
    Shape(
        "A reason in capitals, then word", lambda s, _, rng: f"Beijing it is.\n\n{GRADE_WORDS[s]}"
    ),
    Shape("reason, then letter", form("The dates agree.\n\n@")),
    Shape("Chinese letter and word", lambda said, _, rng: f"{said}:【{GRADE_SIGNS[said]}】"),
    Shape("Chinese word", lambda said, _, rng: f"【{GRADE_SIGNS[said]}】"),
    Shape("Grade: letter", form("Grade: @")),
    Shape("no verdict", form("it depends on the year."), False),
    Shape("empty", form(""), False),
)
