"""A map over processes gives each item's result once, whatever dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openk2.cluster import LocalProcesses, ThisProcess, WorkerError, Workers, finish_jobs

from .tasks import Note, die, refuse, say_done, square, write_note

HERE = Path(__file__).parent
BOTH: list[Workers] = [ThisProcess(), LocalProcesses(2)]
DRIVER = """
import signal
import sys
from pathlib import Path
from openk2.cluster import LocalProcesses
import tasks
# These tests may themselves run where Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    notes = [tasks.Note(Path(sys.argv[1]) / str(n), seconds=60.0 * (n > 1)) for n in range(8)]
    list(LocalProcesses(2).map(tasks.write_note, notes))
"""


@pytest.mark.parametrize("workers", BOTH)
def test_each_item_has_its_result_and_an_items_error_is_raised(workers: Workers) -> None:
    assert dict(workers.map(square, range(9))) == {n: n * n for n in range(9)}
    assert list(workers.map(square, [])) == []
    with pytest.raises(ValueError, match="item 3 is not to my liking"):
        list(workers.map(refuse, [3]))


def test_items_of_a_worker_that_died_run_again_and_those_that_stand_do_not(
    tmp_path: Path,
) -> None:
    notes = [Note(tmp_path / f"{n}", once=tmp_path / f"once-{n % 2}") for n in range(6)]
    notes[4].output.write_text("stands")
    shown: list[tuple[int, int]] = []
    finish_jobs(LocalProcesses(2), write_note, notes, lambda *done: shown.append(done))
    assert notes[4].output.read_text() == "stands"
    writers = {int(n.output.read_text()) for n in notes if n is not notes[4]}
    assert os.getpid() not in writers
    assert (tmp_path / "once-0").exists()
    assert [done for done, _ in shown] == list(range(1, 7))
    assert {total for _, total in shown} == {6}


def test_an_item_that_kills_every_worker_is_given_up() -> None:
    with pytest.raises(WorkerError, match=r"worker processes died 3 times .* memory for 2"):
        list(LocalProcesses(2).map(die, [0]))


def test_an_output_that_is_not_seen_is_told() -> None:
    with pytest.raises(WorkerError, match="a folder that all nodes share"):
        finish_jobs(ThisProcess(), say_done, [Note(Path("/absent/output"))])


def test_no_process_is_no_workers() -> None:
    with pytest.raises(ValueError, match="0 processes"):
        LocalProcesses(0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_run_that_started_them(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    driver = subprocess.Popen(
        [sys.executable, tmp_path / "driver.py", tmp_path],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: (tmp_path / "0").exists() and (tmp_path / "1").exists())
    workers = {int((tmp_path / name).read_text()) for name in ("0", "1")}
    assert workers
    # A terminal's Ctrl-C goes to the whole group, a kill to the driver alone.
    os.killpg(driver.pid, how) if how == signal.SIGINT else driver.kill()
    driver.wait(10)
    wait_until(lambda: not any(alive(worker) for worker in workers))


def wait_until(fact) -> None:
    deadline = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Whether a process runs; one that is only not yet reaped does not."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
