r"""Forty ways to write a right formula count, forty near misses do not, and none takes long."""

import threading
import time

import pytest

from openk2.eval.answers.boxed import last_boxed
from openk2.eval.answers.math import math_answer, same_math
from openk2.eval.answers.math_process import MathProcess

# reference, what the model wrote
RIGHT = [
    (r"\frac{1}{2}", r"So it is $\boxed{0.5}$."),
    (r"\frac{1}{2}", r"\boxed{\dfrac12}"),
    ("080", r"\boxed{\text{080}}"),
    (r"\frac{1}{2}", r"\boxed{1/2}"),
    (r"\frac 34", r"The final answer is $\frac{3}{4}$."),
    (r"\frac{3}{2}", r"\boxed{1\frac{1}{2}}"),
    ("-0.25", r"\boxed{-\tfrac{1}{4}}"),
    ("10080", r"\boxed{10,\!080}"),
    (r"10,\!080", r"\boxed{10080}"),
    ("26000", r"\boxed{26{,}000}"),
    ("12345", r"\boxed{12\,345}"),
    (r"\$18.90", r"\boxed{18.9}"),
    ("18.90", r"\boxed{\$18.90}"),
    ("50", r"\boxed{50\%}"),
    (r"30^\circ", r"\boxed{30}"),
    ("30", r"\boxed{30^{\circ}}"),
    (r"5\text{ cm}", r"\boxed{5}"),
    ("5", r"\boxed{5\ \mathrm{cm}^2}"),
    ("160", r"\boxed{160\text{ square inches}}"),
    (r"(5,\infty)", r"\boxed{(5, +\infty)}"),
    (r"(-\infty,2)\cup(3,\infty)", r"\boxed{(3,\infty)\cup(-\infty,2)}"),
    (r"[-2,7]", r"\boxed{x \in [-2, 7]}"),
    ("3, 5, 7", r"\boxed{7, 3, 5}"),
    ("-2,1", r"\boxed{\{1, -2\}}"),
    (r"1 \pm \sqrt{19}", r"\boxed{1-\sqrt{19}, 1+\sqrt{19}}"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(3, \pi/2)}"),
    ("6 - 5i", r"\boxed{-5i+6}"),
    (r"2\sqrt{2}", r"\boxed{\sqrt{8}}"),
    (r"\frac{\sqrt{3}}{3}", r"\boxed{\frac{1}{\sqrt{3}}}"),
    (r"288 \pi", r"\boxed{288\pi}"),
    ("(a+5)(b+2)", r"\boxed{ab + 2a + 5b + 10}"),
    ("x^3+3x-6", r"\boxed{x^3 - 6 + 3x}"),
    ("y = -2x", r"\boxed{y=-2x}"),
    ("5", r"\boxed{x = 5}"),
    ("52_8", r"\boxed{52_{8}}"),
    (r"\text{even}", r"\boxed{\text{Even}}"),
    (r"\text{(E)}", r"\boxed{E}"),
    (
        r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}",
        r"\boxed{\begin{pmatrix} -\frac{1}{3} \\ \frac23 \end{pmatrix}}",
    ),
    ("1024", r"\boxed{2^{10}}"),
    ("7", r"First \boxed{3}; no, the sum is wrong. Again: \boxed{7}"),
    ("9", "<think>\\boxed{4}?</think>\n**Final Answer:** 9"),
    ("25", "综上，最终答案为：$25$。"),
    ("204", r"```" + "\n" + r"\boxed{204}" + "\n```"),
    ("-11", r"$\boxed{−11}$"),
    ("3", r"\fbox{3}"),
]
WRONG = [
    (r"\frac{1}{3}", r"\boxed{0.333}"),
    (r"\frac{1}{3}", r"\boxed{0.333333333}"),
    (r"\frac{1}{2}", r"\boxed{2/1}"),
    (r"\frac{1}{2}", r"\boxed{-\frac12}"),
    (r"1\frac{4}{5}", r"\boxed{\frac{14}{5}}"),
    ("10080", r"\boxed{10,08}"),
    ("10080", r"\boxed{1,0080}"),
    ("26000", r"\boxed{26}"),
    ("50", r"\boxed{0.5\%}"),
    (r"5\text{ cm}", r"\boxed{5\text{ m}}"),
    (r"5\text{ cm}", r"\boxed{5\text{ cm}^2}"),
    (r"5\text{ cm}^2", r"\boxed{5\text{ cm}^5}"),
    (r"\frac{1}{2004!}", r"\boxed{\frac{7}{2004!}}"),
    (r"30^\circ", r"\boxed{30\text{ radians}}"),
    (r"(5,\infty)", r"\boxed{[5,\infty)}"),
    (r"(-\infty,2)", r"\boxed{(-\infty,2]}"),
    (r"(-\infty,2)\cup(3,\infty)", r"\boxed{(-\infty,2)\cap(3,\infty)}"),
    ("3, 5, 7", r"\boxed{3, 5}"),
    ("3, 5, 7", r"\boxed{3, 5, 7, 9}"),
    ("(1,2)", r"\boxed{(2,1)}"),
    ("(-2,1)", r"\boxed{(2,-1)}"),
    (r"1 \pm \sqrt{19}", r"\boxed{1 + \sqrt{19}}"),
    ("6 - 5i", r"\boxed{6 + 5i}"),
    ("6 - 5i", r"\boxed{6}"),
    (r"2\sqrt{2}", r"\boxed{\sqrt{6}}"),
    (r"2\sqrt{2}", r"\boxed{2.83}"),
    (r"288 \pi", r"\boxed{288}"),
    ("(a+5)(b+2)", r"\boxed{(a+2)(b+5)}"),
    ("x^3+3x-6", r"\boxed{x^3-3x-6}"),
    ("y = -2x", r"\boxed{y = 2x}"),
    ("2k", r"\boxed{2}"),
    ("2k", r"\boxed{2n}"),
    ("52_8", r"\boxed{52}"),
    ("52_8", r"\boxed{52_9}"),
    (r"\text{even}", r"\boxed{\text{odd}}"),
    (r"\text{even}", r"\boxed{\text{neither even nor odd}}"),
    (r"\text{(E)}", r"\boxed{B}"),
    (
        r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}",
        r"\boxed{\begin{pmatrix} 2/3 \\ -1/3 \end{pmatrix}}",
    ),
    ("1024", r"\boxed{2^{11}}"),
    ("7", r"\boxed{7}. Wait, I forgot a case, so it is \boxed{8}"),
    ("204", r"We have 204 cases in all, so \boxed{"),
    ("5", "I could not find it."),
    ("5", ""),
    ("5", r"\boxed{}"),
    ("5", r"\boxed{5 \text{ or } 6}"),
    ("12", r"\boxed{1 2 3}"),
]


@pytest.mark.parametrize(("reference", "text"), RIGHT)
def test_a_right_formula_counts(reference: str, text: str) -> None:
    assert same_math(math_answer(text), reference)


@pytest.mark.parametrize(("reference", "text"), WRONG)
def test_a_near_miss_does_not_count(reference: str, text: str) -> None:
    assert not same_math(math_answer(text), reference)


def test_there_are_forty_of_each() -> None:
    assert min(len(RIGHT), len(WRONG)) >= 40


def test_the_last_closed_box_counts() -> None:
    assert last_boxed(r"\boxed{\frac{1}{2}} and \boxed{\boxed{\{x\}}}") == r"\boxed{\{x\}}"
    assert last_boxed(r"\boxed{1} \boxed{2") == "1"
    assert last_boxed(r"$\boxed 7$") == "7"
    assert last_boxed("}}}{ no box") is None


@pytest.mark.parametrize(
    "hostile",
    [
        "9^{9^{9}}",
        *(pytest.param(text, marks=pytest.mark.slow) for text in ("9^{9^{9^{9}}}", "100000000!")),
        pytest.param(r"\sum_{n=1}^{100000000}\frac{1}{n^2}", marks=pytest.mark.slow),
    ],
)
def test_a_hostile_answer_ends_its_process_and_nothing_else(hostile: str) -> None:
    started = time.monotonic()
    assert not same_math(hostile, r"\sqrt{5}")
    assert time.monotonic() - started < 30
    assert same_math(r"\sqrt{20}", r"2\sqrt{5}")


def test_a_process_that_dies_gives_no_point_and_the_next_pair_is_compared() -> None:
    process = MathProcess()
    try:
        assert process.equivalent(r"\sqrt{20}", r"2\sqrt{5}")
        assert process._process is not None
        process._process.kill()
        assert not process.equivalent(r"\sqrt{20}", r"2\sqrt{5}")
        assert process.equivalent(r"\sqrt{20}", r"2\sqrt{5}")
    finally:
        process.close()


def test_any_thread_may_compare() -> None:
    verdicts: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda n=n: verdicts.append(same_math(f"\\sqrt{{{n * n * 2}}}", f"{n}\\sqrt2"))
        )
        for n in range(2, 6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 4
