"""SimpleQA: 4,326 short questions of fact (arXiv 2411.04368).

Chat: the question alone, zero-shot; temperature 0.6, output cap 8,192. Base: five short questions
of ours with their answers, then the question, to be continued to the end of the line; greedy, cap
64.
Judge: role "grader"; correct, incorrect or not attempted, as the paper defines them. Metric: share
of correct answers.
"""

from functools import partial
from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.judged import FACT_JUDGE
from openk2.eval.answers.questions import FACTS, base_question
from openk2.eval.answers.scoring import by_judge
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import read


def read_samples(folder: Path, *, base: bool) -> list[Sample]:
    """Fields problem, answer; a question's id is its place in the file."""
    shots = "".join(base_question(*fact) for fact in FACTS)
    samples = []
    for number, record in enumerate(read(folder, "*simple*", "*test*")):
        question = record.text("problem", "question")
        samples.append(
            Sample(
                id=f"simpleqa-{number}",
                input=shots + base_question(question) if base else question,
                target=record.text("answer"),
                metadata={"question": question, "stop": ["\n"], "first_line_only": base},
            )
        )
    return samples


SOURCE = Source(
    folder="simpleqa",
    files=("*.csv",),
    obtain="download simple_qa_test_set.csv of OpenAI's simple-evals into simpleqa/",
    hub="basicv8vc/SimpleQA",
)
SIMPLEQA = Benchmark(
    name="simpleqa",
    title="SimpleQA",
    paper="https://arxiv.org/abs/2411.04368",
    protocol=Protocol(metric="Correct", roles=("grader",)),
    source=SOURCE,
    read=partial(read_samples, base=False),
    scorer=by_judge("simpleqa", FACT_JUDGE),
)
SIMPLEQA_BASE = Benchmark(
    name="simpleqa-base",
    title="SimpleQA",
    paper="https://arxiv.org/abs/2411.04368",
    protocol=Protocol(
        metric="Correct",
        asks="completion",
        shots=len(FACTS),
        temperature=0.0,
        max_tokens=64,
        roles=("grader",),
    ),
    source=SOURCE,
    read=partial(read_samples, base=True),
    scorer=by_judge("simpleqa_base", FACT_JUDGE),
)
