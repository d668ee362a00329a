r"""MATH, for base models: the 5,000 problems of the test set (arXiv 2103.03874).

Prompt: four worked problems and the problem, to be continued. The usual four are Minerva's; these
are ours, in MATH's own form: a solution whose answer stands in a box. Answer: the last box of the
first solution, otherwise what "the answer is" announces; equal in text, as a number or by
math-verify.
Metric: exact match, 4-shot, greedy, output cap 2,048. No judge.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.data.error import DataError
from openk2.eval.answers.boxed import last_boxed
from openk2.eval.answers.scoring import by_rule, math_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read

SHOTS = (
    (
        "What is the largest value of $x$ for which $x^2 - 5x + 6 = 0$?",
        "The left side factors as $(x - 2)(x - 3)$, so the solutions are $x = 2$ and $x = 3$. The"
        " larger one is $\\boxed{3}$.",
    ),
    (
        "Two fair coins and one fair six-sided die are thrown. What is the probability that both"
        " coins show heads and the die shows an even number? Express it as a common fraction.",
        "Both coins show heads with probability $\\frac{1}{2} \\cdot \\frac{1}{2} = \\frac{1}{4}$."
        " The die is even with probability $\\frac{3}{6} = \\frac{1}{2}$. The throws are"
        " independent, so the probability is $\\frac{1}{4} \\cdot \\frac{1}{2} ="
        " \\boxed{\\frac{1}{8}}$.",
    ),
    (
        "A right triangle has legs of length $6$ and $8$. What is the radius of the circle through"
        " its three vertices?",
        "By the Pythagorean theorem the hypotenuse is $\\sqrt{36 + 64} = 10$. In a right triangle"
        " the hypotenuse is a diameter of the circumscribed circle, so the radius is"
        " $\\boxed{5}$.",
    ),
    (
        "For which real numbers $t$ is $\\sqrt{4 - 2t}$ a real number? Give the answer in interval"
        " notation.",
        "We need $4 - 2t \\ge 0$, which means $t \\le 2$. So $t$ lies in $\\boxed{(-\\infty, 2]}$.",
    ),
)


def worked(problem: str, solution: str = "") -> str:
    """A problem in the prompt; a shot has its solution."""
    return f"Problem: {problem}\nSolution:" + (f" {solution}\n\n" if solution else "")


def reference(record: Record) -> str:
    """The answer, or what the box of the solution holds. Raises DataError without a box."""
    answer = record.get("answer") or last_boxed(record.text("solution"))
    if not answer:
        raise DataError(f"{record.place}: the solution has no boxed answer")
    return str(answer)


def read_samples(folder: Path) -> list[Sample]:
    """Fields problem, solution, type, level; the answer is in the solution's box."""
    shots = "".join(worked(*shot) for shot in SHOTS)
    return [
        Sample(
            id=f"math-{record.get('idx', number)}",
            input=shots + worked(record.text("problem")),
            target=reference(record),
            metadata={"stop": ["\nProblem:"], "subject": record.get("type")},
        )
        for number, record in enumerate(read(folder, "*test*"))
    ]


MATH_BASE = Benchmark(
    name="math-base",
    title="MATH",
    paper="https://arxiv.org/abs/2103.03874",
    protocol=Protocol(metric="EM", asks="completion", shots=4, temperature=0.0, max_tokens=2048),
    source=Source(
        folder="math",
        files=("**/*test*",),
        obtain="download EleutherAI/hendrycks_math from the Hugging Face hub into math/",
        hub="EleutherAI/hendrycks_math",
    ),
    read=read_samples,
    scorer=by_rule(math_rule),
)
