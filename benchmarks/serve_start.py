"""From starting `openk2 serve` to its first healthy answer, against `import torch` alone.

    python benchmarks/serve_start.py [MODEL] [--runs 5]

The goal is import of torch plus two seconds. Both sides alternate in one run; medians.
"""

import argparse
import socket
import statistics
import subprocess
import sys
import time

import httpx

from openk2.record.machine import describe_machine

SERVE = "from openk2.cli.main import app; app()"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def import_torch() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def serve_until_ready(model: str) -> float:
    port = free_port()
    began = time.perf_counter()
    command = [sys.executable, "-c", SERVE, "serve", model, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", timeout=1).raise_for_status()
            except httpx.HTTPError:
                if process.poll() is not None:
                    raise SystemExit(
                        f"openk2 serve ended with status {process.returncode}"
                    ) from None
                time.sleep(0.02)
            else:
                return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="openk2-nano")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    pairs = [(import_torch(), serve_until_ready(arguments.model)) for _ in range(arguments.runs)]
    torch_time, serve_time = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(describe_machine())
    print(f"import torch          {torch_time:.2f} s")
    print(f"openk2 serve to ready {serve_time:.2f} s")
    print(f"difference            {serve_time - torch_time:+.2f} s (goal: at most +2.00)")
    sys.exit(serve_time - torch_time > 2.0)


if __name__ == "__main__":
    main()
