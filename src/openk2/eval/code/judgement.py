"""What running a program against its tests came to, and the score that it makes."""

from dataclasses import dataclass, field
from typing import Any

from inspect_ai.scorer import Score

from openk2.environments import Finished

TIME_LIMIT, MEMORY_LIMIT = "time limit", "memory limit"
_SHOWN = 2000  # characters of a program's output in a score's explanation


@dataclass(frozen=True)
class Judgement:
    """passed: whether every test did. reason: why not. missing: what the machine lacks to tell,
    such as "php: not found"; then the answer counts neither as right nor as wrong."""

    passed: bool
    reason: str = ""
    missing: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """Whether a limit ended the run: on a machine with less to do it may end otherwise."""
        return self.reason in (TIME_LIMIT, MEMORY_LIMIT)

    def score(self, code: str, **metadata: Any) -> Score:
        """Its score: 1 or 0, or unscored where something is missing."""
        metadata = {**self.details, **metadata}
        if self.missing:
            return Score.unscored(
                answer=code, explanation=f"not run: {self.missing}", metadata=metadata
            )
        return Score(
            value=1.0 if self.passed else 0.0,
            answer=code,
            explanation="passed" if self.passed else self.reason,
            metadata=metadata,
        )


def reason_of(finished: Finished) -> str:
    """Why a run did not pass: the limit that stopped it, or the end of what it wrote."""
    if finished.timed_out:
        return TIME_LIMIT
    if finished.out_of_memory:
        return MEMORY_LIMIT
    told = (finished.stderr or finished.stdout).decode(errors="replace").strip()
    return f"exit code {finished.exit_code}: {told[-_SHOWN:]}"
