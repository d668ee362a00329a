"""What agreement.py compares: a text, our verdict on it, and what the other scorers are asked."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One text.

    shape: its class in the report. right: what it was written to be, None if that is not known.
    ours: our value; of a text with several verdicts one for each, "" is the only one otherwise.
    requests: label of another scorer -> its request. parts: names of the verdicts in the report.
    """

    shape: str
    right: bool | None
    shown: str
    ours: Mapping[str, float]
    requests: Mapping[str, dict[str, Any]]
    parts: Mapping[str, str] = field(default_factory=dict)


# (folder of the benchmarks, number of answers, seed) -> cases.
Cases = Callable[[Path, int, int], Iterator[Case]]
