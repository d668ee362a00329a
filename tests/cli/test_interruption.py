import os
import signal

import pytest
import typer

from openk2.cli.interruption import interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_one_line_and_its_status(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(typer.Exit) as ended, interruptible("do it again"):
            os.kill(os.getpid(), number)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.exit_code == 128 + number
    assert capsys.readouterr().err == f"interrupted by {number.name}: do it again\n"


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible("do it again"):
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
