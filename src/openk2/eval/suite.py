"""Runs rows of the README's tables one after another; one row's failure never stops the others.

Each row's answers are inspect's own logs below OUT/logs/ROW/PART, written after every sample. The
same run again asks only for what is missing: a kill loses the samples in flight.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from openk2.environments import SandboxError
from openk2.eval.answered import read_answers
from openk2.eval.answers.scoring import JUDGE_TOKENS
from openk2.eval.catalogue import NoSuchRowError, Row
from openk2.eval.code.harness import HarnessError
from openk2.eval.code.place import chosen_sandbox, use_sandbox
from openk2.eval.external import run_external, why_not
from openk2.eval.inspect_task import Asking, drawn, inspect_task
from openk2.eval.locate import DataUnavailableError, locate
from openk2.eval.model_api import ModelAddress, open_model
from openk2.eval.planned import Planned, write_planned
from openk2.eval.streak import Streak
from openk2.record import DataError

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

PART = 400  # answers of a log

Status = Literal["ran", "skipped", "failed"]


@dataclass(frozen=True)
class RowOutcome:
    """What became of a row, with the reason in one line unless it ran.

    earlier: its answers that an earlier session had asked for.
    """

    row: str
    status: Status
    reason: str = ""
    earlier: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Suite:
    """What all rows share. data: folder of --data. out: of the run.

    models: instruct and base; the rows of one that is missing are skipped.
    roles: the further models that rows need; contexts: tokens of theirs, where known.
    asking: of each model, since their contexts differ.
    sandbox: what model-written code runs in, None for the best there is.
    predictions: row -> patches made before, for SWE-bench.
    """

    out: Path
    data: Path | None
    models: Mapping[str, ModelAddress]
    asking: Mapping[str, Asking]
    roles: Mapping[str, ModelAddress]
    sandbox: str | None = None
    predictions: Mapping[str, Path] = field(default_factory=dict)
    contexts: Mapping[str, int | None] = field(default_factory=dict)

    def logs(self, row: Row) -> Path:
        """Where the row's logs are."""
        return logs_folder(self.out, row.name)


class Bars(Protocol):
    """What shows progress: answers done of a row's, and of all rows'."""

    def plan(self, answers: Mapping[str, int]) -> None:
        """Before the first row: the answers of each."""
        ...

    def begin(self, row: str) -> None:
        """A row begins."""
        ...

    def advance(self) -> None:
        """An answer of the row is there."""
        ...

    def end(self, row: str) -> None:
        """A row ended, whatever is missing of it."""
        ...


@dataclass(frozen=True)
class Prepared:
    """A row that can run, and the samples to ask."""

    row: Row
    samples: "list[Sample]"
    answers: int


def logs_folder(out: Path, row: str) -> Path:
    """Where a run keeps the logs of a row."""
    return out / "logs" / row


def run_suite(
    rows: Sequence[Row], suite: Suite, bars: Bars, tell: Callable[[RowOutcome], None]
) -> list[RowOutcome]:
    """Run the rows in order. tell: called for each that is skipped or failed, at once."""
    outcomes: dict[str, RowOutcome] = {}
    ready = []
    for row in rows:
        prepared = prepare(row, suite)
        if isinstance(prepared, Prepared):
            ready.append(prepared)
        else:
            outcomes[row.name] = prepared
            tell(prepared)
    bars.plan({prepared.row.name: prepared.answers for prepared in ready})
    for prepared in ready:
        row = prepared.row
        if not row.benchmark.external:
            write_planned(suite.logs(row), Planned(prepared.answers))
    for prepared in ready:
        name = prepared.row.name
        bars.begin(name)
        outcomes[name] = run_row(prepared, suite, bars.advance)
        bars.end(name)
        if outcomes[name].status != "ran":
            tell(outcomes[name])
    return [outcomes[row.name] for row in rows]


def prepare(row: Row, suite: Suite) -> Prepared | RowOutcome:
    """Find and read the row's data, or say in one line why it cannot run."""
    if row.variant not in suite.models:
        return RowOutcome(row.name, "skipped", f"no {row.variant} model was given")
    try:
        benchmark = row.benchmark
        if benchmark.external:
            reason = why_not(row)
            return RowOutcome(row.name, "skipped", reason) if reason else Prepared(row, [], 1)
        missing = [role for role in benchmark.protocol.roles if role not in suite.roles]
        if missing:
            reason = f"needs a {missing[0]} model: --{missing[0]} URL#MODEL"
            return RowOutcome(row.name, "skipped", reason)
        if benchmark.protocol.runs_code:
            with use_sandbox(suite.sandbox):
                chosen_sandbox()
        found = locate(benchmark.source, suite.data)
        asking = suite.asking[row.variant]
        samples = drawn(benchmark.read(found.folder), asking.limit, asking.seed)
        if not samples:
            raise DataError(f"{found} holds no question")
        answers = len(samples) * asking.answers(benchmark.protocol)
        return Prepared(row, samples, answers)
    except (DataUnavailableError, SandboxError) as error:
        return RowOutcome(row.name, "skipped", one_line(error))
    except (DataError, NoSuchRowError) as error:
        return RowOutcome(row.name, "failed", one_line(error))
    # A reader's bug, or a file that is not what its name says, is this row's alone.
    except Exception as error:
        return RowOutcome(row.name, "failed", f"its data: {type(error).__name__} {one_line(error)}")


def run_row(prepared: Prepared, suite: Suite, finished: Callable[[], None]) -> RowOutcome:
    """Ask and score what the row's logs do not have yet, part by part.

    inspect writes a log anew after every answer; a part is small enough for that to cost nothing.
    """
    row = prepared.row
    if row.benchmark.external:
        return run_in_harness(row, suite, finished)
    earlier = earlier_answers(row, suite)
    each = max(1, PART // (prepared.answers // len(prepared.samples)))
    reason, streak = "", Streak()
    for number, begin in enumerate(range(0, len(prepared.samples), each), 1):
        folder = suite.logs(row) / f"{number:04}"
        part = prepared.samples[begin : begin + each]
        try:
            reason = run_part(row, part, folder, suite, streak, finished) or reason
        # Whatever a task, a scorer or inspect itself raises is this row's alone.
        except Exception as error:
            told = f"{type(error).__name__} {one_line(error)}"
            return RowOutcome(row.name, "failed", told, earlier)
    if reason:
        reason = f"{reason}; run again to ask for what is missing"
    return RowOutcome(row.name, "failed" if reason else "ran", reason, earlier)


def earlier_answers(row: Row, suite: Suite) -> int:
    """How many answers of the row the folder has of this model, those with errors not counted."""
    model = suite.models[row.variant].model
    found = read_answers(suite.logs(row), grouped=bool(row.benchmark.protocol.groups), model=model)
    return sum(not answer.error for answer in found)


def run_in_harness(row: Row, suite: Suite, finished: Callable[[], None]) -> RowOutcome:
    """Run a row that has a harness of its own."""
    asking = suite.asking[row.variant]
    try:
        run_external(
            row,
            suite.models[row.variant],
            suite.logs(row),
            limit=asking.limit,
            workers=asking.concurrency,
            predictions=suite.predictions,
        )
    except (HarnessError, OSError) as error:
        return RowOutcome(row.name, "failed", one_line(error))
    finished()
    return RowOutcome(row.name, "ran")


def run_part(
    row: Row,
    samples: "list[Sample]",
    folder: Path,
    suite: Suite,
    streak: Streak,
    finished: Callable[[], None],
) -> str:
    """Run some of the row's questions. Returns what is missing, "" for nothing."""
    from inspect_ai import eval_set

    benchmark, asking = row.benchmark, suite.asking[row.variant]
    with quiet_inspect(suite.out), use_sandbox(suite.sandbox):
        roles = {str(role): open_role(str(role), suite) for role in benchmark.protocol.roles}
        success, logs = eval_set(
            [inspect_task(benchmark, samples, asking, streak, finished)],
            log_dir=str(folder),
            model=open_model(suite.models[row.variant], benchmark.protocol.asks),
            model_roles=roles,
            metadata={"row": row.name, "table": row.table},
            **EVAL_SET,
        )
        return "" if success else next(broken_answers(log) for log in logs)


def open_role(role: str, suite: Suite) -> "Model":
    """A further model. A grader with a small context gets half of it for its reply: a cap that
    does not fit beside the prompt is refused."""
    context = suite.contexts.get(role)
    small = role == "grader" and context is not None and context < 2 * JUDGE_TOKENS
    return open_model(suite.roles[role], cap=context // 2 if small and context else None)


def broken_answers(log: "EvalLog") -> str:
    """How many answers have errors, and the first; or what ended the whole task."""
    from inspect_ai.log import read_eval_log_sample_summaries

    summaries = read_eval_log_sample_summaries(log.location)
    errors = [summary.error for summary in summaries if summary.error]
    if not errors:
        return one_line(log.error.message if log.error else f"the log is {log.status}")
    # inspect puts the request before the server's message, in one repr.
    last = errors[0].replace("\\n", "\n").strip().splitlines()[-1]
    counted = f"{len(errors)} of {len(summaries)} answers have errors"
    return f"{counted}, such as {one_line(last)}"


# Logs are written after every sample, and nothing else listens, prints or retries.
EVAL_SET: dict[str, Any] = {
    "display": "none",
    "log_level": "error",
    "log_buffer": 1,
    "log_realtime": False,
    "log_dir_allow_dirty": True,
    "retry_attempts": 0,
    "retry_immediate": False,
    "ctl_server": False,
    "acp_server": False,
    "score_display": False,
}


@contextmanager
def quiet_inspect(out: Path) -> Iterator[None]:
    """Inspect's traces and notes go to OUT/.inspect, not to the user's folders, and what it prints
    nowhere: standard output is for the results."""
    wanted = {"XDG_DATA_HOME": str((out / ".inspect").absolute())}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def one_line(error: object) -> str:
    """The message without line breaks, at most 300 characters."""
    return " ".join(str(error).split())[:300]
