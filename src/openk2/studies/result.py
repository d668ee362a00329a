"""A finished run, read back, and what studies ask of it."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openk2.record import read_metrics
from openk2.studies.setting import Setting


@dataclass(frozen=True)
class StudyResult:
    """One run's rows (see `run.metrics`), what it was of, how long it took and where.

    cpu_seconds: of all threads, so that a busy machine does not count. parameters, active: see
    `count_parameters`, the latter without the embedding. flops_per_token: of training.
    diverged: the step whose loss, gradient or logit was not finite, None if there was none.
    """

    setting: Setting
    identity: str
    seconds: float
    cpu_seconds: float
    machine: str
    parameters: int
    active: int
    flops_per_token: float
    rows: tuple[dict[str, Any], ...]
    diverged: int | None = None

    @classmethod
    def read(cls, folder: Path) -> "StudyResult | None":
        """The run in `folder`; None if it is not finished."""
        file = folder / "result.json"
        if not file.exists():
            return None
        known = json.loads(file.read_text(encoding="utf-8"))
        setting = Setting.from_json(known.pop("setting"))
        return cls(setting=setting, rows=tuple(read_metrics(folder / "metrics.jsonl")), **known)

    @property
    def curve(self) -> list[tuple[int, float]]:
        """(tokens seen, held-out loss) at every evaluation."""
        return [(row["tokens"], row["held_out"]) for row in self.rows if "held_out" in row]

    @property
    def final_loss(self) -> float:
        """Held-out loss after the last step; infinite if the run did not come so far."""
        return math.inf if self.diverged is not None else self.curve[-1][1]

    @property
    def tokens(self) -> int:
        """Tokens seen in all."""
        return int(self.rows[-1]["tokens"])

    @property
    def max_logits(self) -> list[float]:
        """The largest attention logit over layers and heads, step by step."""
        return [max(map(max, row["max_logits"])) for row in self.rows]

    @property
    def peak_logit(self) -> float:
        """The largest attention logit of the run."""
        return max(self.max_logits)

    @property
    def clipped_shares(self) -> list[float]:
        """The share of all heads that each step clipped."""
        return [sum(map(sum, row["clipped"])) / self.head_count for row in self.rows]

    @property
    def share_ever_clipped(self) -> float:
        """Of all heads of all layers, how many QK-Clip shrank at least once."""
        heads = [self.clipped_steps(head) for head in range(self.head_count)]
        return sum(map(bool, heads)) / len(heads)

    @property
    def last_clip(self) -> int | None:
        """The last step that clipped a head; None if none did."""
        steps = [row["step"] for row in self.rows if any(map(any, row["clipped"]))]
        return steps[-1] if steps else None

    @property
    def head_count(self) -> int:
        """Heads of all layers together."""
        return sum(map(len, self.rows[0]["max_logits"]))

    def clipped_steps(self, head: int) -> int:
        """In how many steps a head, counted through all layers, was clipped."""
        return sum([clip for layer in row["clipped"] for clip in layer][head] for row in self.rows)

    def tokens_to(self, loss: float) -> float | None:
        """Tokens until the held-out loss first falls to `loss`, between evaluations by a straight
        line; None if it never does."""
        before = None
        for tokens, value in self.curve:
            if value <= loss:
                if before is None:
                    return float(tokens)
                share = (before[1] - loss) / (before[1] - value)
                return before[0] + share * (tokens - before[0])
            before = tokens, value
        return None
