"""Chinese SimpleQA, for base models: 3,000 short questions of fact (arXiv 2411.07140).

Prompt: five short questions of ours with their answers, then the question, to be continued to the
end of the line. Judge: role "grader"; correct, incorrect or not attempted, as SimpleQA's.
Metric: share of correct answers, 5-shot, greedy, output cap 64.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.judged import FACT_JUDGE
from openk2.eval.answers.questions import FACTS_IN_CHINESE
from openk2.eval.answers.scoring import by_judge
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import read


def asked(question: str, answer: str = "") -> str:
    """A question in the prompt; a shot has its answer."""
    return f"问题：{question}\n答案：" + (f"{answer}\n\n" if answer else "")


def read_samples(folder: Path) -> list[Sample]:
    """Fields id, question, answer, primary_category."""
    shots = "".join(asked(*fact) for fact in FACTS_IN_CHINESE)
    return [
        Sample(
            id=record.text("id"),
            input=shots + asked(record.text("question")),
            target=record.text("answer"),
            metadata={
                "question": record.text("question"),
                "stop": ["\n"],
                "first_line_only": True,
                "subject": record.get("primary_category"),
            },
        )
        for record in read(folder, "*.jsonl")
    ]


CSIMPLEQA_BASE = Benchmark(
    name="csimpleqa-base",
    title="CSimpleQA",
    paper="https://arxiv.org/abs/2411.07140",
    protocol=Protocol(
        metric="Correct",
        asks="completion",
        shots=len(FACTS_IN_CHINESE),
        temperature=0.0,
        max_tokens=64,
        roles=("grader",),
    ),
    source=Source(
        folder="csimpleqa",
        files=("*.jsonl",),
        obtain="download OpenStellarTeam/Chinese-SimpleQA from the hub into csimpleqa/",
        hub="OpenStellarTeam/Chinese-SimpleQA",
    ),
    read=read_samples,
    scorer=by_judge("csimpleqa", FACT_JUDGE),
)
