"""What a run found, read from inspect's logs: figure, tokens, time and failures of each row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspect_ai.log import EvalLog, EvalSample, read_eval_log
from inspect_ai.scorer import Score, value_to_float

from openk2.eval.figure import Figure, Question, figure_of
from openk2.eval.suite import RowOutcome, logs_folder

if TYPE_CHECKING:
    from openk2.eval.catalogue import Row

SHOWN_FAILURES = 20
SHOWN_CHARACTERS = 4000


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in any currency: input and output."""

    input: float
    output: float

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Of these tokens."""
        return (self.input * tokens_in + self.output * tokens_out) / 1e6


@dataclass(frozen=True)
class Failure:
    """A wrong answer, for a reader."""

    question: str
    asked: str
    answered: str
    target: str
    judged: str


@dataclass(frozen=True)
class RowResult:
    """A row of a run. figure: None if nothing of it ran.

    answers: scored ones. errors: answers that the endpoint never gave, which the figure leaves out.
    truncated: answers cut at the output cap or the end of the context. tokens_in, tokens_out: of
    the model under test. seconds: wall time. engine: seconds of it in which a model was answering.
    """

    row: "Row"
    outcome: RowOutcome
    figure: Figure | None = None
    questions: Mapping[str, Question] = field(default_factory=dict)
    answers: int = 0
    errors: int = 0
    truncated: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    engine: float = 0.0
    cost: float | None = None
    failures: Sequence[Failure] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything but the failures' texts, which are in the logs."""
        figure = None if self.figure is None else self.figure.to_json()
        counts = {name: getattr(self, name) for name in COUNTS}
        return {
            "row": self.row.name,
            "table": self.row.table,
            "title": self.row.label,
            "status": self.outcome.status,
            "reason": self.outcome.reason,
            "figure": figure,
            **counts,
            "published": {
                model: None if entry is None else entry.value
                for model, entry in self.row.published.items()
            },
            "by_question": {name: dict(question) for name, question in self.questions.items()},
        }


COUNTS = ("answers", "errors", "truncated", "tokens_in", "tokens_out", "seconds", "engine", "cost")


def row_result(
    row: "Row", outcome: RowOutcome, out: Path, prices: Prices | None = None
) -> RowResult:
    """The row as the logs below `out` have it. What they lack is empty."""
    log = row_log(logs_folder(out, row.name))
    if log is None or not log.samples:
        return RowResult(row, outcome)
    weights = row.benchmark.protocol.groups
    scored = [sample for sample in log.samples if sample.scores and not sample.error]
    questions = by_question(scored, grouped=bool(weights))
    tokens_in, tokens_out = tokens(log.samples)
    calls = [span for sample in log.samples for span in model_spans(sample)]
    return RowResult(
        row,
        outcome,
        figure_of(questions, weights, len(scored)),
        questions,
        answers=len(scored),
        errors=sum(sample.error is not None for sample in log.samples),
        truncated=sum(was_truncated(sample) for sample in scored),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        seconds=round(wall_seconds(log), 3),
        engine=round(covered(calls), 3),
        cost=None if prices is None else prices.cost(tokens_in, tokens_out),
        failures=failures(scored),
    )


def row_log(folder: Path) -> EvalLog | None:
    """The row's log with the most answers, the newest of those: a run that resumes copies what the
    killed one had into a new log. None if there is none."""
    logs = [read_eval_log(str(file)) for file in sorted(folder.glob("*.eval"))]
    return max(reversed(logs), key=lambda log: len(log.samples or ()), default=None)


def by_question(samples: Iterable[EvalSample], *, grouped: bool) -> dict[str, Question]:
    """Question -> group -> the mean over its answers."""
    values: dict[str, dict[str, list[float]]] = {}
    for sample in samples:
        groups = group_values(sample) if grouped else {"": sample_value(sample)}
        for group, value in groups.items():
            values.setdefault(str(sample.id), {}).setdefault(group, []).append(value)
    return {
        name: {group: sum(found) / len(found) for group, found in groups.items()}
        for name, groups in values.items()
    }


def only_score(sample: EvalSample) -> Score:
    """A benchmark has one scorer."""
    return next(iter((sample.scores or {}).values()))


def sample_value(sample: EvalSample) -> float:
    """The answer's value, from 0 to 1."""
    return float(value_to_float()(only_score(sample).value))


def group_values(sample: EvalSample) -> dict[str, float]:
    """The answer's value in each of its groups: the score's metadata says, or the sample's."""
    said = (only_score(sample).metadata or {}).get("groups")
    if said is not None:
        return {str(group): float(value) for group, value in said.items()}
    return {str((sample.metadata or {}).get("group", "")): sample_value(sample)}


def tokens(samples: Iterable[EvalSample]) -> tuple[int, int]:
    """Input and output tokens of the model under test, not of judges and users."""
    sent = written = 0
    for sample in samples:
        for event in sample.events:
            if event.event == "model" and event.role is None and event.output.usage:
                sent += event.output.usage.input_tokens
                written += event.output.usage.output_tokens
    return sent, written


Span = tuple[float, float]


def model_spans(sample: EvalSample) -> list[Span]:
    """From when to when a model was answering, in seconds since the epoch."""
    return [
        (event.timestamp.timestamp(), event.completed.timestamp())
        for event in sample.events
        if event.event == "model" and event.completed is not None
    ]


def covered(spans: Iterable[Span]) -> float:
    """Seconds that at least one span covers."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def wall_seconds(log: EvalLog) -> float:
    """Seconds that the row took: the last session's whole, and what earlier ones needed for answers
    that it did not ask for again."""
    answers = [
        (moment(sample.started_at), moment(sample.completed_at))
        for sample in log.samples or ()
        if sample.started_at and sample.completed_at
    ]
    # inspect gives the times of a log in whole seconds; those of its answers are exact.
    began = moment(str(log.eval.created))
    session = [span for span in answers if span[1] > began]
    if session:
        session.append((min(began, session[0][0]), max(end for _, end in session)))
    return covered([*answers, *session])


def moment(text: str) -> float:
    """Seconds since the epoch of an ISO time."""
    return datetime.fromisoformat(text).timestamp()


def was_truncated(sample: EvalSample) -> bool:
    """Whether the last answer was cut off, or the prompt did not fit at all."""
    return sample.output.stop_reason in ("max_tokens", "model_length")


def failures(samples: Iterable[EvalSample]) -> list[Failure]:
    """The first wrong answers, one for each question, their texts cut."""
    found: dict[str, Failure] = {}
    for sample in samples:
        if len(found) == SHOWN_FAILURES:
            break
        if sample_value(sample) < 1 and str(sample.id) not in found:
            score = only_score(sample)
            asked = sample.input if isinstance(sample.input, str) else sample.input[-1].text
            target = sample.target if isinstance(sample.target, str) else "; ".join(sample.target)
            texts = (asked, sample.output.completion, target)
            judged = f"{score.answer or ''} {score.explanation or ''}".strip()
            cut = [text[:SHOWN_CHARACTERS] for text in (*texts, judged)]
            found[str(sample.id)] = Failure(str(sample.id), *cut)
    return list(found.values())
