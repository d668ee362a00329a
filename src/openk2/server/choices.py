"""Run the choices of one request together: streams interleaved, whole answers gathered."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

T = TypeVar("T")


async def interleaved(
    streams: Sequence[AsyncGenerator[T, None]],
) -> AsyncGenerator[tuple[int, T], None]:
    """The items of all streams as they come, each with its stream's number.

    The first error of any stream is raised and ends all; closing this closes all.
    """
    if len(streams) == 1:  # nearly every request; a queue would cost a wake-up per token
        async with aclosing(streams[0]) as stream:
            async for item in stream:
                yield 0, item
        return
    queue: asyncio.Queue[tuple[int, T] | Exception | None] = asyncio.Queue()
    # A stream continues when its item is taken, so none runs ahead of the reader or the others.
    taken = [asyncio.Semaphore(0) for _ in streams]

    async def run(number: int, stream: AsyncGenerator[T, None]) -> None:
        try:
            async for item in stream:
                queue.put_nowait((number, item))
                await taken[number].acquire()
            queue.put_nowait(None)
        except Exception as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(run(*numbered)) for numbered in enumerate(streams)]
    try:
        left = len(streams)
        while left:
            got = await queue.get()
            if isinstance(got, Exception):
                raise got
            if got is None:
                left -= 1
            else:
                taken[got[0]].release()
                yield got
    finally:
        await end(tasks)
        for stream in streams:
            await stream.aclose()


async def all_of(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order. The first error of any is raised and cancels the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await end(tasks)


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until they have released what they hold."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
