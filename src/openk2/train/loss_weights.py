"""The recipe's `[loss]` table."""

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class LossWeights:
    """What a learned token counts in the loss, by its `data.Role`; all 1 is the plain mean.

    structure: text, markup and the punctuation of calls. names: of tools in calls. keys, values: of
    calls' arguments.
    """

    structure: float = 1.0
    names: float = 1.0
    keys: float = 1.0
    values: float = 1.0

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} is {weight}: it must be a finite number, 0 or more")
        if not any(asdict(self).values()):
            raise ValueError("every weight is 0: nothing would be learned")

    @property
    def by_role(self) -> tuple[float, ...]:
        """The weight of each `Role`, by its number."""
        return 0.0, self.structure, self.names, self.keys, self.values
