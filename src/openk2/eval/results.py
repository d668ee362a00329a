"""What a run found, read from inspect's logs: figure, tokens, time and failures of each row."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openk2.eval.answered import Answered, Span, WrongAnswer, read_answers
from openk2.eval.external import external_share, harness_note
from openk2.eval.figure import Figure, Question, figure_of
from openk2.eval.one_line import one_line
from openk2.eval.planned import read_planned
from openk2.eval.suite import RowOutcome, logs_folder
from openk2.record import DataError

if TYPE_CHECKING:
    from openk2.eval.catalogue import Row

SHOWN_FAILURES = 20


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in any currency: input and output."""

    input: float
    output: float

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Of these tokens."""
        return (self.input * tokens_in + self.output * tokens_out) / 1e6


@dataclass(frozen=True)
class RowResult:
    """A row of a run. figure: None if nothing of it ran, or as `note` says.

    planned: the answers that it is to have, None if unknown. answers: scored ones. errors: answers
    that the endpoint never gave, which the figure leaves out. truncated: answers cut at the output
    cap or the end of the context. tokens_in, tokens_out: of the model under test. seconds: wall
    time. engine: seconds of it in which a model was answering.
    """

    row: "Row"
    outcome: RowOutcome
    figure: Figure | None = None
    questions: Mapping[str, Question] = field(default_factory=dict)
    planned: int | None = None
    answers: int = 0
    errors: int = 0
    truncated: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    engine: float = 0.0
    cost: float | None = None
    failures: Sequence[WrongAnswer] = ()
    note: str = ""

    @property
    def row_groups(self) -> dict[str, float]:
        """The mean of each group over its questions; empty for a row without groups."""
        groups = {group for question in self.questions.values() for group in question} - {""}
        found = {
            group: [q[group] for q in self.questions.values() if group in q] for group in groups
        }
        return {group: sum(values) / len(values) for group, values in found.items()}

    @property
    def complaint(self) -> str:
        """Why there is no figure, or not of all answers, in one line; "" if all is well."""
        if self.outcome.status != "ran":
            return f"{self.outcome.status}, {self.outcome.reason}"
        return self.note

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
            "note": self.note,
            "figure": figure,
            **counts,
            "published": {
                model: None if entry is None else entry.value
                for model, entry in self.row.published.items()
            },
            "by_question": {name: dict(question) for name, question in self.questions.items()},
        }


COUNTS = (
    "planned",
    "answers",
    "errors",
    "truncated",
    "tokens_in",
    "tokens_out",
    "seconds",
    "engine",
    "cost",
)


def row_result(
    row: "Row", outcome: RowOutcome, out: Path, prices: Prices | None = None, model: str = ""
) -> RowResult:
    """The row as the logs below `out` have it, of this model if one is named. What they lack is
    empty; a row with fewer answers than planned, or a file that cannot be read, has failed.

    outcome: of this session, or of any other that it ran."""
    folder = logs_folder(out, row.name)
    if not folder.is_dir():
        return RowResult(row, outcome)
    weights = row.benchmark.protocol.groups
    try:
        share = external_share(folder)
        planned = read_planned(folder)
        answers = list(read_answers(folder, grouped=bool(weights), model=model))
    except DataError as error:
        told = one_line(error)  # which the reason of a row that failed in this session has
        return RowResult(row, incomplete(outcome, "" if told in outcome.reason else told))
    if share is None and row.benchmark.external:
        return RowResult(row, incomplete(outcome, "its harness did not end"))
    if share is not None:
        figure = Figure(share.part / share.whole, share.low, share.high, {})
        return RowResult(row, outcome, figure, answers=share.whole, note=harness_note(row, folder))
    scored = [answer for answer in answers if answer.values]
    questions = by_question(scored)
    errors = sum(answer.error for answer in answers)
    missing = planned.lacks(len(answers) - errors) if planned else ""
    if errors:  # which the reason of a row that failed in this session has counted
        failed = outcome.status == "failed"
        missing = "" if failed else missing or f"{errors} answers have errors"
    tokens_in = sum(answer.tokens_in for answer in answers)
    tokens_out = sum(answer.tokens_out for answer in answers)
    return RowResult(
        row,
        incomplete(outcome, missing),
        figure_of(questions, weights, len(scored)),
        questions,
        planned=planned.answers if planned else None,
        answers=len(scored),
        errors=errors,
        truncated=sum(answer.truncated for answer in answers),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        seconds=round(covered(sessions(answers)), 3),
        engine=round(covered(span for answer in answers for span in answer.calls), 3),
        cost=None if prices is None else prices.cost(tokens_in, tokens_out),
        failures=first_wrong(scored),
        note="; ".join(filter(None, (missing_groups(questions.values(), weights), lacks(answers)))),
    )


def incomplete(outcome: RowOutcome, missing: str) -> RowOutcome:
    """The outcome of a row that lacks answers, as `missing` says; unchanged if that is ""."""
    if not missing or outcome.status == "skipped":
        return outcome
    reason = f"{outcome.reason}; {missing}" if outcome.status == "failed" else missing
    return replace(outcome, status="failed", reason=reason)


def missing_groups(questions: Iterable[Question], weights: Mapping[str, float]) -> str:
    """A line about the groups without a question, "" if there are none."""
    found = {group for question in questions for group in question}
    missing = [group for group in weights if group not in found]
    return f"no figure: no question of {', '.join(missing)}" if missing and found else ""


def lacks(answers: Iterable[Answered]) -> str:
    """A line about answers that nothing here could score, "" if there are none."""
    reasons = Counter(answer.unscored for answer in answers if answer.unscored)
    told = (f"{count} {reason}" for reason, count in reasons.most_common(3))
    return f"unscored answers: {', '.join(told)}" if reasons else ""


def by_question(answers: Iterable[Answered]) -> dict[str, Question]:
    """Question -> group -> the mean over its answers."""
    found: dict[str, dict[str, list[float]]] = {}
    for answer in answers:
        for group, value in answer.values.items():
            found.setdefault(answer.question, {}).setdefault(group, []).append(value)
    return {
        question: {group: sum(values) / len(values) for group, values in groups.items()}
        for question, groups in found.items()
    }


def first_wrong(answers: Iterable[Answered]) -> list[WrongAnswer]:
    """Some wrong answers, one for each question."""
    found: dict[str, WrongAnswer] = {}
    for answer in answers:
        if answer.wrong is not None and len(found) < SHOWN_FAILURES:
            found.setdefault(answer.question, answer.wrong)
    return list(found.values())


def sessions(answers: Sequence[Answered]) -> list[Span]:
    """When the row was at work: each answer's time, and in each log from its beginning to the last
    answer that it did not copy from an earlier one."""
    spans = [answer.whole for answer in answers if answer.whole is not None]
    ends: dict[float, float] = {}
    for answer in answers:
        if answer.whole is not None and answer.whole[1] > answer.session:
            ends[answer.session] = max(answer.whole[1], ends.get(answer.session, 0.0))
    return [*spans, *ends.items()]


def covered(spans: Iterable[Span]) -> float:
    """Seconds that at least one span covers."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
