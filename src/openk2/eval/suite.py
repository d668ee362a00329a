"""Runs rows of the README's tables one after another; one row's failure never stops the others.

Each row's answers are inspect's own logs below OUT/logs/ROW/PART, written after every sample. The
same run again asks only for what is missing: a kill loses the samples in flight.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from openk2.environments import SandboxError
from openk2.eval.answered import broken_answers, read_answers
from openk2.eval.catalogue import NoSuchRowError, Row
from openk2.eval.code.harness import HarnessError
from openk2.eval.code.place import chosen_sandbox, use_sandbox
from openk2.eval.external import run_external, why_not
from openk2.eval.inspect_task import Asking, drawn, inspect_task
from openk2.eval.locate import DataUnavailableError, locate
from openk2.eval.model_api import ModelAddress, open_model, open_role
from openk2.eval.one_line import one_line
from openk2.eval.planned import Planned, write_planned
from openk2.eval.quiet_inspect import EVAL_SET, quiet_inspect
from openk2.eval.streak import Streak
from openk2.record import DataError

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample

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
    try:
        earlier = earlier_answers(row, suite)
    except DataError as error:
        return RowOutcome(row.name, "failed", one_line(error))
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
    """How many answers of the row the folder has of this model, those with errors not counted.

    Raises DataError for a damaged log.
    """
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
    except (DataError, HarnessError, OSError) as error:
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
        roles = {
            str(role): open_role(role, suite.roles[role], suite.contexts.get(role))
            for role in benchmark.protocol.roles
        }
        success, logs = eval_set(
            [inspect_task(benchmark, samples, asking, streak, finished)],
            log_dir=str(folder),
            model=open_model(suite.models[row.variant], benchmark.protocol.asks),
            model_roles=roles,
            metadata={"row": row.name, "table": row.table},
            **EVAL_SET,
        )
        return "" if success else next(broken_answers(log) for log in logs)
