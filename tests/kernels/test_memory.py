"""A kernel that gets no memory raises an error, where an exception in C++ would end the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from openk2.kernels import native

SCRIPT = Path(__file__).parent / "memory_limit.py"
KERNELS = ("linear", "experts", "attention", "route", "newton_schulz")


@pytest.mark.skipif(not native.available(), reason="the native kernels are not built here")
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_kernel_without_memory_raises_memory_error_and_works_again_with_it(threads: int) -> None:
    # Large pieces come from the system, not from what the process has freed before.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    child = subprocess.run(
        [sys.executable, str(SCRIPT), str(threads)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    raised = [
        f"{name}: MemoryError: openk2_{name}: this machine has no memory for the call; then done"
        for name in KERNELS
    ]
    done = [f"{name}: done; then done" for name in KERNELS]
    lines = child.stdout.splitlines()
    if threads == 1:
        assert lines == raised
    else:  # The thread that takes an item may have the memory for it from an earlier call.
        assert len(lines) == len(KERNELS), lines
        assert set(lines) <= {*raised, *done}, lines
        assert set(lines) & set(raised)
