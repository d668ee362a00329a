"""Many answers at once, at most so many in flight, with a bar."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from rich.progress import Progress

T = TypeVar("T")
Result = TypeVar("Result")


async def map_bounded(
    ask: Callable[[T], Awaitable[Result]],
    items: Sequence[T],
    *,
    concurrency: int,
    progress: Progress | None,
    label: str,
) -> list[Result]:
    """What `ask` gives for each item, in their order.

    The first error ends the other calls and is raised as it is, in no group.
    """
    gate = asyncio.Semaphore(concurrency)
    bar = None if progress is None else progress.add_task(label, total=len(items))

    async def run(item: T) -> Result:
        async with gate:
            result = await ask(item)
        if progress is not None and bar is not None:
            progress.advance(bar)
        return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(item)) for item in items]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
