import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from openk2.record.lock import hold_folder

HOLD = """
import sys, time
from pathlib import Path
from openk2.record.lock import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_by_one_process_and_free_when_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match="run is in use"), hold_folder(folder):
            pass
        os.kill(process.pid, signal.SIGKILL)
    for _ in range(2):
        with hold_folder(folder):
            pass
