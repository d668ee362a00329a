"""The answers of a row, read from inspect's logs: what was asked, its value, tokens and time."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from inspect_ai.log import EvalLog, EvalSample, read_eval_log, read_eval_log_sample_summaries
from inspect_ai.scorer import Score, value_to_float

from openk2.eval.benchmark import question_name
from openk2.eval.model_api import served_name
from openk2.eval.one_line import one_line
from openk2.record import DataError

SHOWN_CHARACTERS = 4000

# From when to when, in seconds since the epoch.
Span = tuple[float, float]


@dataclass(frozen=True)
class WrongAnswer:
    """For a reader: the texts are cut."""

    question: str
    asked: str
    answered: str
    target: str
    judged: str


@dataclass(frozen=True)
class Answered:
    """One answer. values: group -> from 0 to 1, "" for a row without groups; empty for an error,
    and for an answer that nothing here can score. unscored: what is missing for that.

    tokens_in, tokens_out: of the model under test, not of judges and users. calls: when a model was
    answering. whole: from the start of the sample to its score. session: when its log was begun.
    wrong: unless its value is 1. truncated: cut at the cap, or the prompt did not fit.
    """

    question: str
    values: Mapping[str, float]
    error: bool
    unscored: str
    truncated: bool
    tokens_in: int
    tokens_out: int
    calls: tuple[Span, ...]
    whole: Span | None
    session: float
    wrong: WrongAnswer | None


def read_answers(folder: Path, *, grouped: bool, model: str = "") -> Iterator[Answered]:
    """All answers of a row whose logs are in the folders of `folder`, a part of it each. model: the
    id at its server whose logs count; "" for any. Raises DataError for a damaged log."""
    for part in sorted(folder.glob("*/")):
        log = best_log(part, model)
        for sample in (log.samples if log else None) or ():
            assert log is not None
            yield answered(sample, log, grouped=grouped)


def best_log(folder: Path, model: str = "") -> EvalLog | None:
    """The model's log with the most answers, the newest of those: a run that resumes copies what
    the killed one had into a new log. None if there is none. Raises DataError."""
    logs = [read_log(file) for file in sorted(folder.glob("*.eval"))]
    logs = [log for log in logs if not model or served_name(log.eval.model) == model]
    return max(reversed(logs), key=lambda log: len(log.samples or ()), default=None)


def read_log(file: Path) -> EvalLog:
    """One log. Raises DataError, with the remedy, if it is damaged."""
    try:
        return read_eval_log(str(file))
    # What inspect raises is that of any of its parsers.
    except Exception as error:
        told = f"{type(error).__name__} {one_line(error)}"
        raise DataError(
            f"{file} cannot be read: delete it, the same command asks again ({told})"
        ) from error


def broken_answers(log: EvalLog) -> str:
    """How many answers have errors, and the first; or what ended the whole task."""
    summaries = read_eval_log_sample_summaries(log.location)
    errors = [summary.error for summary in summaries if summary.error]
    if not errors:
        return one_line(log.error.message if log.error else f"the log is {log.status}")
    # inspect puts the request before the server's message, in one repr.
    last = errors[0].replace("\\n", "\n").strip().splitlines()[-1]
    counted = f"{len(errors)} of {len(summaries)} answers have errors"
    return f"{counted}, such as {one_line(last)}"


def answered(sample: EvalSample, log: EvalLog, *, grouped: bool) -> Answered:
    """One answer of a log."""
    scored = bool(sample.scores) and sample.error is None
    unscored = scored and math.isnan(value(sample))
    calls = [event for event in sample.events if event.event == "model"]
    usages = [call.output.usage for call in calls if call.role is None and call.output.usage]
    whole = None
    if sample.started_at and sample.completed_at:
        whole = (moment(str(sample.started_at)), moment(str(sample.completed_at)))
    return Answered(
        question=question_name(sample.id, sample.metadata),
        values=values(sample, grouped=grouped) if scored and not unscored else {},
        error=sample.error is not None,
        unscored=(only_score(sample).explanation or "nothing says why") if unscored else "",
        truncated=scored and sample.output.stop_reason in ("max_tokens", "model_length"),
        tokens_in=sum(usage.input_tokens for usage in usages),
        tokens_out=sum(usage.output_tokens for usage in usages),
        calls=tuple(
            (call.timestamp.timestamp(), call.completed.timestamp())
            for call in calls
            if call.completed is not None
        ),
        whole=whole,
        session=moment(str(log.eval.created)),
        wrong=wrong_answer(sample) if scored and value(sample) < 1 else None,
    )


def only_score(sample: EvalSample) -> Score:
    """A benchmark has one scorer."""
    return next(iter((sample.scores or {}).values()))


def value(sample: EvalSample) -> float:
    """The answer's value, from 0 to 1."""
    return float(value_to_float()(only_score(sample).value))


def values(sample: EvalSample, *, grouped: bool) -> dict[str, float]:
    """The answer's value in each of its groups: the score's metadata says, or the sample's."""
    if not grouped:
        return {"": value(sample)}
    said = (only_score(sample).metadata or {}).get("groups")
    if said is not None:
        return {str(group): float(found) for group, found in said.items()}
    return {str((sample.metadata or {}).get("group", "")): value(sample)}


def wrong_answer(sample: EvalSample) -> WrongAnswer:
    """What a reader needs to see why."""
    score = only_score(sample)
    asked = sample.input if isinstance(sample.input, str) else sample.input[-1].text
    target = sample.target if isinstance(sample.target, str) else "; ".join(sample.target)
    judged = f"{score.answer or ''} {score.explanation or ''}".strip()
    texts = (asked, sample.output.completion, target, judged)
    return WrongAnswer(str(sample.id), *(text[:SHOWN_CHARACTERS] for text in texts))


def moment(text: str) -> float:
    """Seconds since the epoch of an ISO time."""
    return datetime.fromisoformat(text).timestamp()
