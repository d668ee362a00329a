"""Ctrl-C, and the SIGTERM that schedulers and torchrun send, end a long command with one line."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

REPEAT_SECONDS = 1.0  # a scheduler's signal comes to each process and, by torchrun, once more


class Stop:
    """Whether a signal has asked for the end: `stop()`. number: which one."""

    def __init__(self) -> None:
        self.number: signal.Signals | None = None
        self._asked = False
        self._heard_at = 0.0

    def __call__(self) -> bool:
        self._asked = True
        return self.number is not None

    def hear(self, number: int, frame: FrameType | None) -> None:
        """A signal's handler: the first is noted and its repeat passed over. One before the command
        first asks, or a second, interrupts."""
        if not self._asked:
            interrupt(number, frame)
        if self.number is None:
            self.number, self._heard_at = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._heard_at > REPEAT_SECONDS:
            interrupt(number, frame)


@contextmanager
def interruptible(remedy: str) -> Iterator[None]:
    """End with a line that gives the remedy, and the shell's exit status for the signal.

    A signal that is ignored stays so, as Ctrl-C is where a script starts a command with `&`.
    """
    with _handled(interrupt), _ended(remedy):
        yield


@contextmanager
def stoppable(remedy: str) -> Iterator[Stop]:
    """Note the first signal, for the command to end at a place that suits it. A second one, or one
    before the command asks for the first time, ends it as `interruptible` does."""
    stop = Stop()
    with _handled(stop.hear), _ended(remedy):
        yield stop


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    signals = (signal.SIGINT, signal.SIGTERM)
    heard = (each for each in signals if signal.getsignal(each) != signal.SIG_IGN)
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)


@contextmanager
def _ended(remedy: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        number = signal.Signals(error.args[0] if error.args else signal.SIGINT)
        typer.echo(f"interrupted by {number.name}: {remedy}", err=True)
        raise typer.Exit(128 + number) from error


def interrupt(number: int, _: FrameType | None) -> NoReturn:
    """A signal's handler."""
    raise KeyboardInterrupt(number)
