"""Lines of plots from runs: a mean over seeds with the band between the lowest and the highest."""

from collections.abc import Callable, Sequence

from openk2.record import Line
from openk2.studies.result import StudyResult


def loss_line(label: str, results: Sequence[StudyResult]) -> Line:
    """Held-out loss over tokens, in millions."""
    tokens = [point[0] / 1e6 for point in results[0].curve]
    return banded(label, tokens, [[loss for _, loss in result.curve] for result in results])


def step_line(
    label: str, results: Sequence[StudyResult], read: Callable[[StudyResult], list[float]]
) -> Line:
    """What `read` gives of every step."""
    steps = [row["step"] for row in results[0].rows]
    return banded(label, steps, [read(result) for result in results])


def banded(
    label: str, x: Sequence[float], series: Sequence[Sequence[float]], *, marked: bool = False
) -> Line:
    """The mean of several series, and their range if there is more than one.

    It ends where the shortest does: a run that diverged has no more.
    """
    columns = list(zip(*series, strict=False))
    x = x[: len(columns)]
    mean = tuple(sum(column) / len(column) for column in columns)
    if len(series) == 1:
        return Line(label, tuple(x), mean, marked=marked)
    low, high = tuple(map(min, columns)), tuple(map(max, columns))
    return Line(label, tuple(x), mean, low, high, marked=marked)
