"""The learning-rate schedule: warm-up, stable, decay (WSD; report section 2.5)."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class WarmupStableDecay:
    """Linear warm-up to `peak`, then constant, then a cosine down to `final` (report 2.5).

    warmup, stable, decay: steps. Raises ValueError for a value that is negative or not finite.
    """

    peak: float
    final: float
    warmup: int
    stable: int
    decay: int

    def __post_init__(self) -> None:
        for name in ("peak", "final", "warmup", "stable", "decay"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}: it must be a finite number, 0 or more")

    def __call__(self, step: int) -> float:
        """The rate for `step`, counted from 0; after the last step, `final`."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        past = step - self.warmup - self.stable
        if past < 0:
            return self.peak
        fraction = min(past / self.decay, 1.0) if self.decay else 1.0
        return self.final + (self.peak - self.final) * 0.5 * (1 + math.cos(math.pi * fraction))
