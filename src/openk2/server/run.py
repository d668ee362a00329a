"""Run the application on a bound socket, report when it answers, and let answers end at a stop."""

import contextlib
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from openk2.server.connection import TimedProtocol, allow_connections
from openk2.server.guards import DrainGuard
from openk2.server.limits import CUT_SECONDS, IDLE_SECONDS


class DrainingServer(uvicorn.Server):
    """uvicorn's server that calls `ready` once it accepts connections.

    After SIGTERM or SIGINT new requests get 503 until those in flight have ended, for
    `drain_seconds` at most; a second signal stops it at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        guard: DrainGuard,
        ready: Callable[[], None],
        drain_seconds: float,
    ) -> None:
        super().__init__(config)
        self.guard, self.ready, self.drain_seconds = guard, ready, drain_seconds
        self.drain_end: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        self.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn."""
        first = self.drain_end is None
        super().handle_exit(sig, frame)
        if first:
            self.drain_end = time.monotonic() + self.drain_seconds
            self.guard.drain()
            self.should_exit = self.force_exit = False

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn, which calls it every 0.1 s."""
        if self.drain_end is not None:
            ended = not self.guard.answering or time.monotonic() >= self.drain_end
            self.should_exit = self.should_exit or ended
        return await super().on_tick(counter)


def run_app(
    app: ASGIApp,
    listener: socket.socket,
    ready: Callable[[], None],
    drain_seconds: float,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError if it cannot listen.

    ready: called when connections are accepted. drain_seconds: how long answers may go on then.
    """
    guard = DrainGuard(app)
    config = uvicorn.Config(
        guard,
        log_config=None,
        access_log=False,
        lifespan="auto",
        ws="none",
        http=TimedProtocol,
        limit_concurrency=allow_connections(),
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=CUT_SECONDS,
    )
    server = DrainingServer(config, guard, ready, drain_seconds)
    with contextlib.suppress(KeyboardInterrupt):
        # uvicorn has shut down and raises the signal again for its caller
        server.run(sockets=[listener])
