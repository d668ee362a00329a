"""`CheckOutcome`: what a check found, and `Report`: the results of all checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["pass", "warn", "fail", "skip"]

SHOWN_FAULTS = 5


@dataclass(frozen=True)
class CheckOutcome:
    """What a check found.

    figure: the measure, short enough for a table. seen: what was seen, and the remedy, in words.
    faults: what was wrong, one line each. measures: the numbers the figure is made of.
    """

    status: Status
    figure: str
    seen: str
    faults: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)


def judged(
    total: int,
    faults: Sequence[str],
    *,
    passed: str,
    remedy: str,
    measures: Mapping[str, float] | None = None,
) -> CheckOutcome:
    """A pass if nothing was wrong in `total` trials, else a fail that names the first fault.

    total: trials, each of which can have several faults. passed: the text of a pass. remedy: what
    to fix otherwise.
    """
    if not total:
        return skipped("the endpoint gave nothing to judge; other checks say why")
    figure = f"{max(total - len(faults), 0)}/{total}"
    if faults:
        return CheckOutcome(
            "fail", figure, f"{faults[0]}. {remedy}.", tuple(faults), measures or {}
        )
    return CheckOutcome("pass", figure, f"{passed}.", (), measures or {})


def measured(
    value: float,
    bound: float,
    *,
    what: str,
    cause: str,
    faults: Sequence[str] = (),
    measures: Mapping[str, float] | None = None,
) -> CheckOutcome:
    """A pass if a measure is at most its bound and there are no other faults.

    what: what was measured, a sentence without its full stop. cause: the likely cause of a fault,
    and the remedy, in one line.
    """
    inside = value <= bound
    figure = f"{value:.3g} {'<=' if inside else '>'} {bound:g}"
    if inside and not faults:
        return CheckOutcome("pass", figure, f"{what}.", (), measures or {})
    told = tuple(faults) or (what,)
    return CheckOutcome("fail", figure, f"{told[0]}. {cause}.", told, measures or {})


def skipped(reason: str) -> CheckOutcome:
    """Nothing could be judged."""
    return CheckOutcome("skip", "-", f"{reason}.")


@dataclass(frozen=True)
class CheckResult:
    """A check's outcome. name: as in --only; title: what the check requires of an endpoint."""

    name: str
    title: str
    outcome: CheckOutcome
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "name": self.name,
            "title": self.title,
            "status": self.outcome.status,
            "figure": self.outcome.figure,
            "seen": self.outcome.seen,
            "faults": list(self.outcome.faults),
            "measures": dict(self.outcome.measures),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Report:
    """All results. started: UTC, ISO 8601. requests: how many were sent."""

    url: str
    model: str
    seed: int
    started: str
    version: str
    seconds: float
    requests: int
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed, and at least one could judge something."""
        statuses = {result.outcome.status for result in self.results}
        return "fail" not in statuses and bool(statuses & {"pass", "warn"})

    def count(self, status: Status) -> int:
        """How many results have this status."""
        return sum(result.outcome.status == status for result in self.results)

    @property
    def summary(self) -> str:
        """One line for a person."""
        parts = [f"{self.count('pass')} passed"]
        if self.count("warn"):
            parts.append(f"{self.count('warn')} passed with a warning")
        parts += [f"{self.count('fail')} failed", f"{self.count('skip')} skipped"]
        sent = f"{self.requests} requests in {self.seconds:.1f} s"
        return f"{self.model} at {self.url}: {', '.join(parts)}; {sent}"

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "url": self.url,
            "model": self.model,
            "seed": self.seed,
            "started": self.started,
            "openk2": self.version,
            "seconds": round(self.seconds, 3),
            "requests": self.requests,
            "passed": self.passed,
            "results": [result.to_json() for result in self.results],
        }
