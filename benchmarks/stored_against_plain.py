"""Decode and prefill of a checkpoint whose weights stay as stored, against dequantized ones.

    python benchmarks/stored_against_plain.py FOLDER [--gguf FILE --bench LLAMA_BENCH]

Both are open in one process and take turns; FOLDER may be what `stored_weights.py write` made. With
--gguf, llama-bench decodes the same shape in between, in as many threads.
"""

import argparse
import re
import statistics
import subprocess
from pathlib import Path

from driving import engine_decode, engine_prefill

from openk2.kernels import native
from openk2.pretrained import WeightForm, open_model
from openk2.record.machine import describe_machine

TOKENS = 48


def llama_decode(options: argparse.Namespace) -> float:
    """Tokens a second of llama-bench at the same depth."""
    command = [options.bench, "-m", options.gguf, "-t", str(native.threads()), "-p", "0", "-r", "1"]
    command += ["-n", str(TOKENS), "-d", str(options.context)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(rf"tg{TOKENS}[^|]*\|\s*([\d.]+)", output)
    if found is None:
        raise SystemExit(f"llama-bench gave no figure:\n{output}")
    return float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--gguf")
    parser.add_argument("--bench", help="llama-bench of llama.cpp")
    options = parser.parse_args()
    sides = {
        form.value: open_model(
            options.folder, weights=form, context_length=2048, cache_bytes=1 << 28
        )
        for form in WeightForm
    }
    vocabulary = sides["stored"].config.vocab_size
    print(describe_machine(), native.instruction_sets()[0], f"{native.threads()} threads")
    for local in sides.values():
        print(local.summary)
    print("| | " + " | ".join((*sides, "llama.cpp")) + " |\n" + "|---" * 4 + "|")
    cases = {
        "prefill 512": lambda engine: engine_prefill(engine, 512, vocabulary),
        **{
            f"decode b{b}": lambda engine, b=b: engine_decode(
                engine, b, options.context, TOKENS, vocabulary
            )
            for b in options.batches
        },
    }
    for name, run in cases.items():
        rates: dict[str, list[float]] = {}
        for _ in range(options.repeats):
            for side, local in sides.items():
                rates.setdefault(side, []).append(run(local.engine))
            if options.gguf and name == "decode b1":
                rates.setdefault("llama.cpp", []).append(llama_decode(options))
        shown = (f"{statistics.median(r):.1f} (best {max(r):.1f})" for r in rates.values())
        print(f"| {name} | " + " | ".join(shown) + " |", flush=True)
    for local in sides.values():
        local.close()


if __name__ == "__main__":
    main()
