"""LiveBench's rules give whole, part and no points where the benchmark does."""

import pytest

from openk2.eval.answers.livebench_rules import rule_of

CASES: list[tuple[str, str, str, str, float]] = [
    # task, subtask, reference, text, points
    ("math_comp", "amc_2023", "C", "It is ```\nCCCCC\n```", 1),
    ("math_comp", "amc_2023", "C", "AAAAA? No: $\\boxed{C}$", 0),
    ("math_comp", "amc_2023", "C", "The answer is \\boxed{C}.", 1),
    ("math_comp", "aime_2024", "073", "So the answer is 073.", 1),
    ("math_comp", "aime_2024", "073", "So the answer is 730.", 0),
    ("olympiad", "imo", "1,2,3,4", "Answer: 1,2,3,4", 1),
    ("olympiad", "imo", "1,2,3,4", "Answer: 1,2,4,4", 0.75),
    ("olympiad", "imo", "1,2,3,4", "I cannot", 0),
    ("AMPS_Hard", "integrals", "$\\frac{x^2}{2}$", "$\\boxed{\\frac12 x^2}$", 1),
    ("AMPS_Hard", "integrals", "\\frac{x^2}{2}", "$\\boxed{x^2}$", 0),
    ("web_of_lies_v2", "", "yes, no, yes", "Hence **yes, no, yes**.", 1),
    ("web_of_lies_v2", "", "yes, no, yes", "**yes, no, no**", 0),
    ("zebra_puzzle", "", "cat, 2", "<solution>cat, 2</solution>", 1),
    ("zebra_puzzle", "", "cat, 2", "<solution>cat, 3</solution>", 0.25),
    ("connections", "", "a, b, c, d, e, f, g, h", "**e, f, h, g, d, c, b, a**", 1),
    ("connections", "", "a, b, c, d, e, f, g, h", "**a, b, c, d, x, f, g, h**", 0.5),
    (
        "plot_unscrambling",
        "",
        "One is here. Two came. All left.",
        "<PLOT_SUMMARY>One is here. Two came. All left.</PLOT_SUMMARY>",
        1,
    ),
    (
        "plot_unscrambling",
        "",
        "One is here. Two came. All left.",
        "Two came. One is here. All left.",
        1 / 3,
    ),
    ("typos", "", "It is theirs.", "<solution>It is  theirs.</solution>", 1),
    ("typos", "", "It is theirs.", "It is their's.", 0),
    ("cta", "", "Country Name", "The class is **Country Name**", 1),
    ("cta", "", "Country Name", "Name", 0),
    ("tablejoin", "", "{'a': 'x', 'b': 'y'}", 'So {"a": "x", "b": "y"}', 1),
    ("tablejoin", "", "{'a': 'x', 'b': 'y'}", '{"a": "x", "b": null}', 0.67),
    ("tablejoin", "", "{'a': 'x'}", "{not a dictionary}", 0),
]


@pytest.mark.parametrize(("task", "subtask", "reference", "text", "points"), CASES)
def test_a_rule_gives_its_points(
    task: str, subtask: str, reference: str, text: str, points: float
) -> None:
    rule = rule_of(task, subtask)
    assert rule is not None
    assert rule(text, reference) == pytest.approx(points)


def test_a_task_without_a_rule_has_none() -> None:
    assert rule_of("tablereformat", "") is None
