"""Run the application on a bound socket, and report when it accepts connections."""

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

SHUTDOWN_SECONDS = 5  # for answers in flight to end before they are cut off


class AnnouncedServer(uvicorn.Server):
    """uvicorn's server that calls `ready` once it accepts connections."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        self.ready()


def run_app(app: FastAPI, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until the process gets a signal to stop. Raises OSError if it cannot listen."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = AnnouncedServer(config, ready)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        return  # uvicorn has shut down and raises the signal again for its caller
