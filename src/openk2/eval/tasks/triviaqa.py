"""TriviaQA, for base models: questions without context (arXiv 1705.03551).

Prompt: five short questions of ours with their answers, then the question, to be continued. Answer:
the first line; it must equal one of the listed aliases, both normalized as the paper's evaluation
does (case, punctuation, articles). The validation set, whose answers are public.
Metric: exact match, 5-shot, greedy, output cap 32. No judge.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.data.error import DataError
from openk2.eval.answers.questions import FACTS, base_question
from openk2.eval.answers.scoring import by_rule, short_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read


def aliases(record: Record) -> list[str]:
    """The answer and its aliases. Raises DataError without any."""
    answer = record.one_of("answer", "Answer")
    if not isinstance(answer, dict):
        raise DataError(f"{record.place}: answer is {answer!r}, must be an object with aliases")
    value = answer.get("value") or answer.get("Value")
    others = answer.get("aliases") or answer.get("Aliases") or []
    known = [str(alias) for alias in (value, *others) if alias]
    if not known:
        raise DataError(f"{record.place}: the answer has neither value nor aliases")
    return known


def read_samples(folder: Path) -> list[Sample]:
    """Fields question_id, question, answer {value, aliases}."""
    shots = "".join(base_question(*fact) for fact in FACTS)
    return [
        Sample(
            id=record.text("question_id", "QuestionId"),
            input=shots + base_question(record.text("question", "Question")),
            target=aliases(record),
            metadata={"stop": ["\n"]},
        )
        for record in read(folder, "*rc.nocontext/validation*")
    ]


TRIVIAQA_BASE = Benchmark(
    name="triviaqa-base",
    title="TriviaQA",
    paper="https://arxiv.org/abs/1705.03551",
    protocol=Protocol(
        metric="EM", asks="completion", shots=len(FACTS), temperature=0.0, max_tokens=32
    ),
    source=Source(
        folder="triviaqa",
        files=("*rc.nocontext/validation*",),
        obtain="download mandarjoshi/trivia_qa, folder rc.nocontext, from the hub into triviaqa/",
        hub="mandarjoshi/trivia_qa",
    ),
    read=read_samples,
    scorer=by_rule(short_rule),
)
