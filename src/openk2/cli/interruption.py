"""Ctrl-C, and the SIGTERM that schedulers and torchrun send, end a long command with one line."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer


@contextmanager
def interruptible(remedy: str) -> Iterator[None]:
    """End with a line that gives the remedy, and the shell's exit status for the signal.

    A signal that is ignored stays so, as Ctrl-C is where a script starts a command with `&`.
    """
    signals = (signal.SIGINT, signal.SIGTERM)
    heard = (each for each in signals if signal.getsignal(each) != signal.SIG_IGN)
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    except KeyboardInterrupt as error:
        number = signal.Signals(error.args[0] if error.args else signal.SIGINT)
        typer.echo(f"interrupted by {number.name}: {remedy}", err=True)
        raise typer.Exit(128 + number) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(number: int, _: FrameType | None) -> NoReturn:
    """A signal's handler."""
    raise KeyboardInterrupt(number)
