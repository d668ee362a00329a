"""Many answers at once, at most so many in flight, with a bar."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.progress import Progress

from openk2.eval.retrying import UNANSWERED
from openk2.eval.streak import Streak

T = TypeVar("T")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Unanswered:
    """In place of a result: why the server gave none that can be judged, also when asked again."""

    error: Exception


async def map_bounded(
    ask: Callable[[T], Awaitable[Result]],
    items: Sequence[T],
    *,
    concurrency: int,
    progress: Progress | None,
    label: str,
) -> list[Result | Unanswered]:
    """What `ask` gives for each item, in their order; `Unanswered` where the server gave nothing.

    After `Streak`'s failures in a row nothing more is asked. The first error of a server that
    answered nothing at all, such as that the key is wrong, is raised. So is any error that is not
    the server's, which ends the other calls, as it is, in no group.
    """
    gate, streak = asyncio.Semaphore(concurrency), Streak()
    bar = None if progress is None else progress.add_task(label, total=len(items))

    async def run(item: T) -> Result | Unanswered:
        result: Result | Unanswered
        async with gate:
            try:
                streak.check()
                result = await ask(item)
                streak.failures = 0
            except UNANSWERED as error:
                streak.failures += 1
                result = Unanswered(error)
        if progress is not None and bar is not None:
            progress.advance(bar)
        return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(item)) for item in items]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    results = [task.result() for task in tasks]
    failures = [result.error for result in results if isinstance(result, Unanswered)]
    if failures and len(failures) == len(results):
        raise failures[0]
    return results
