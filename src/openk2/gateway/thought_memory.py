"""`ThoughtMemory`: what models thought, kept in this process and, if there is one, in a state file.

The file is what several gateways and restarts share. It may be locked, full or gone at any time:
that is logged and counted, and answers go on with what this process remembers.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from openk2.gateway.thought_table import ThoughtTable

T = TypeVar("T")
MOST_BYTES = 256 * 1024 * 1024
KEPT_SECONDS = 24 * 3600.0
BESIDE_A_FILE_BYTES = 32 * 1024 * 1024  # in memory
# A file that failed is left alone for so long: each try of a locked one takes LOCK_SECONDS.
REST_SECONDS = 5.0
# For the file to answer, waiting for its thread included.
WAIT_SECONDS = 1.0
# Turns looked up before others get the event loop and the file's thread: a long history must not
# hold up anybody else's.
MOST_AT_ONCE = 100

logger = logging.getLogger(__name__)


class ThoughtMemory:
    """path: of the state file, None for none. most_bytes, seconds: of what is kept.

    Raises StateFileError for a file that cannot be used; whatever happens to it later is logged.
    """

    def __init__(
        self,
        path: Path | None = None,
        most_bytes: int = MOST_BYTES,
        seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._here = ThoughtTable(
            None,
            most_bytes if path is None else min(most_bytes, BESIDE_A_FILE_BYTES),
            seconds,
            clock,
        )
        self._file = None if path is None else ThoughtTable(path, most_bytes, seconds, clock)
        self._path = path
        # One thread, since a connection is used from one at a time.
        self._thread = ThreadPoolExecutor(1, "openk2-state")
        self._rests_until = self._late_until = 0.0
        self._is_failing = False
        self.failures = 0

    def close(self) -> None:
        """Close the file; what waits to be written is written."""
        self._thread.shutdown()
        self._here.close()
        if self._file is not None:
            self._file.close()

    async def keep(self, tenant: str, names: Sequence[bytes], thought: str) -> bool:
        """Remember the thought of a turn; whether it was small enough."""
        kept = self._here.keep(tenant, names, thought)
        if self._file is not None:
            file = self._file
            written = await self._with_file(lambda: file.keep(tenant, names, thought))
            kept = kept or bool(written)
        return kept

    async def find(self, turns: Sequence[Sequence[bytes]]) -> list[str | None]:
        """See `ThoughtTable.find`. With a file it decides, since others write it too: only what is
        certain is taken from this process."""
        found: list[str | None] = []
        for start in range(0, len(turns), MOST_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            found += await self._find(turns[start : start + MOST_AT_ONCE])
        return found

    async def _find(self, turns: Sequence[Sequence[bytes]]) -> list[str | None]:
        """`find` for a few turns."""
        if self._file is None:
            return self._here.find(turns)
        found = self._here.certain(turns)
        missing = [index for index, thought in enumerate(found) if thought is None]
        if not missing:
            return found
        asked = [turns[index] for index in missing]
        others = await self._with_file(partial(self._file.find, asked))
        others = self._here.find(asked) if others is None else others
        for index, thought in zip(missing, others, strict=True):
            found[index] = thought
        return found

    async def _with_file(self, work: Callable[[], T]) -> T | None:
        """The work's result; None if the file cannot be used now."""
        if time.monotonic() < max(self._rests_until, self._late_until):
            return None
        loop = asyncio.get_running_loop()
        # Shielded: a thread cannot be cancelled, and what is late is written all the same.
        task = asyncio.shield(loop.run_in_executor(self._thread, self._guarded, work))
        try:
            return await asyncio.wait_for(task, WAIT_SECONDS)
        except TimeoutError:
            # Nothing is added to the queue for a while: a disk that hangs must not fill it.
            if time.monotonic() >= self._late_until:
                self._late_until = time.monotonic() + REST_SECONDS
                self._failed("it is slow")
            return None

    def _guarded(self, work: Callable[[], T]) -> T | None:
        if time.monotonic() < self._rests_until:
            return None
        try:
            result = work()
        except (sqlite3.Error, OSError) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            self._failed(str(error))
            return None
        if self._is_failing:
            logger.warning("the state file %s can be used again", self._path)
            self._is_failing = False
        return result

    def _failed(self, reason: str) -> None:
        self.failures += 1
        if not self._is_failing:
            logger.warning(
                "the state file %s cannot be used now: %s; until it can, histories are repaired "
                "from what this process remembers",
                self._path,
                reason,
            )
        self._is_failing = True

    def stats(self) -> Mapping[str, float]:
        """Numbers for /metrics."""
        counts = {f"kept_{name}": count for name, count in self._here.stats().items()}
        return {**counts, "state_failures": self.failures}
