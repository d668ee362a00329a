"""Memory that runs out inside a command: injected where the command asks torch for it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from openk2.cli.main import app
from openk2.kernels import native

CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of "
    "which 1.10 GiB is free. Including non-PyTorch memory, this process has 77.90 GiB memory in "
    "use. See\nhttps://pytorch.org/docs"
)
GPU = torch.OutOfMemoryError(CUDA)
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 9000 bytes. Error code 12 (Cannot allocate memory)"
)

LOADING = f"openk2.checkpoint.{'load_packed' if native.available() else 'load_model'}"


@pytest.mark.parametrize(
    ("command", "place", "remedy"),
    [
        (["pretrain", "{recipe}", "--out", "made"], "openk2.train.loop.train_step", "micro_rows"),
        (["serve", "--port", "0"], LOADING, "--cache-memory"),
        (["serve", "--port", "0"], "openk2.engine.Engine", "--cache-memory"),
        (["chat", "Hi"], "openk2.engine.Engine", "smaller model"),
        (["eval", "tools"], "openk2.engine.Engine", "smaller model"),
    ],
)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (GPU, "Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"),
        (CPU, "you tried to allocate 9000 bytes"),
        (MemoryError(), "memory is used up"),
    ],
)
def test_memory_that_runs_out_is_one_line_with_a_remedy(
    material: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    place: str,
    remedy: str,
    fault: Exception,
    said: str,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, refuse)
    recipe = material / "pretrain.toml"
    result = CliRunner().invoke(app, [part.format(recipe=recipe) for part in command])
    assert result.exit_code == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    if not isinstance(fault, MemoryError):  # a refused cache, which opening a model knows
        assert said in line
        assert remedy in line
    assert "Traceback" not in result.output


def test_another_runtime_error_is_a_fault_of_the_program(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("openk2.train.loop.train_step", fail)
    command = ["pretrain", str(material / "pretrain.toml"), "--out", str(tmp_path / "made")]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, RuntimeError)
    assert str(result.exception) == "shapes differ"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="RLIMIT_AS is Linux's")
def test_a_real_refusal_of_the_cpu_allocator_is_known(tmp_path: Path) -> None:
    code = (
        "import torch, sys; from openk2.cli.out_of_memory import memory_fault\n"
        "try: torch.empty(1 << 60, dtype=torch.uint8)\n"
        "except RuntimeError as error: print(memory_fault(error))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "tried to allocate 1152921504606846976 bytes" in result.stdout
