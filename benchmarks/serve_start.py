"""From starting `openk2 serve` to its first healthy answer, against `import torch` alone.

    python benchmarks/serve_start.py [MODEL] [--runs 5]

The goal is import of torch plus two seconds. Both sides alternate in one run; medians.
"""

import argparse
import statistics
import subprocess
import sys
import time

from served import serving

from openk2.record.machine import describe_machine


def import_torch() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def serve_until_ready(model: str) -> float:
    began = time.perf_counter()
    with serving(model):
        return time.perf_counter() - began


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
