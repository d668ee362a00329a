"""`UpstreamPool`: which of several upstreams answers the next request."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType

from openk2.gateway.upstream import Upstream
from openk2.protocol import EngineBusyError

# Prompt ids that identify a conversation: its requests all start with the same ones.
AFFINITY = 256
PROBE_EVERY_SECONDS = 5.0

logger = logging.getLogger(__name__)


class UpstreamPool:
    """Picks the healthy upstream with the fewest requests in flight.

    Ties go to the same upstream for prompts that start alike, whose prefix it may have cached.
    A context manager: inside it, a thread probes every `probe_every` seconds.
    """

    def __init__(
        self, upstreams: Sequence[Upstream], *, probe_every: float = PROBE_EVERY_SECONDS
    ) -> None:
        if not upstreams:
            raise ValueError("a pool needs at least one upstream")
        self.upstreams = tuple(upstreams)
        self._probe_every = probe_every
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._probe, name="upstream-health", daemon=True)

    def pick(self, beginning: object, tried: Mapping[Upstream, int]) -> Upstream:
        """The upstream for the next request.

        beginning: hashable, equal for prompts that start alike. tried: failures of each upstream
        for this answer; those with the fewest come first.
        Raises EngineBusyError if none is healthy.
        """
        healthy = [upstream for upstream in self.upstreams if upstream.healthy]
        if not healthy:
            raise EngineBusyError("no upstream is healthy now: try again later")
        return min(
            healthy,
            key=lambda one: (tried.get(one, 0), one.outstanding, hash((one.url, beginning))),
        )

    @property
    def healthy(self) -> bool:
        """Whether any upstream is healthy."""
        return any(upstream.healthy for upstream in self.upstreams)

    @property
    def context_length(self) -> int | None:
        """The smallest context length that an upstream reports; None if none does."""
        lengths = [one.context_length for one in self.upstreams if one.context_length is not None]
        return min(lengths, default=None)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep the connections to all upstreams, for requests of this event loop."""
        async with AsyncExitStack() as stack:
            for upstream in self.upstreams:
                await stack.enter_async_context(upstream.connections.kept())
            yield

    def stats(self) -> Mapping[str, float]:
        """Numbers for /metrics; upstreams are numbered from 0, in their order."""
        stats: dict[str, float] = {"upstreams_healthy": sum(u.healthy for u in self.upstreams)}
        for number, upstream in enumerate(self.upstreams):
            stats[f"upstream_{number}_healthy"] = upstream.healthy
            stats[f"upstream_{number}_outstanding"] = upstream.outstanding
            stats[f"upstream_{number}_asked"] = upstream.asked
        return stats

    def probe(self) -> None:
        """Probe every upstream once, all at the same time; blocks until the slowest has ended."""
        asyncio.run(self._probe_all())

    async def _probe_all(self) -> None:
        await asyncio.gather(*(upstream.probe_once() for upstream in self.upstreams))

    def _probe(self) -> None:
        while not self._closed.wait(self._probe_every):
            try:
                self.probe()
            except Exception:  # without this thread no upstream would ever be well again
                logger.exception("the upstreams could not be probed")

    def __enter__(self) -> "UpstreamPool":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join(PROBE_EVERY_SECONDS)
