"""Mutation testing: change one thing in the source, run the package's tests, see whether they fail.

    python benchmarks/mutants.py --count 60 [--seed 0] [--package grammar] [--limit 300]
    python benchmarks/mutants.py --known

Samples mutants of chat, grammar, engine, attention, optim and checkpoint, equally many of each;
`--known` takes those of known_mutants.toml instead, which once survived. Each mutant is tested in a
scratch copy of src and tests, with the mirrored test file first, and stops at the first failure. A
mutant is killed by a failing test or by the limit of processor time. The exit status is the number
of survivors, 125 at most.
"""

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import pytest
import torch  # noqa: F401 - once, here, rather than in every process that is forked
from mutations import ROOT, Mutant, mutants_of

KNOWN = Path(__file__).with_name("known_mutants.toml")
# Sources below src/openk2 -> the tests that have to notice.
PACKAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "chat": (("chat",), ("tests/chat",)),
    "grammar": (("grammar",), ("tests/grammar",)),
    "engine": (("engine",), ("tests/engine",)),
    "attention": (
        ("model/attention.py", "model/core_attention.py"),
        ("tests/model", "tests/numerics"),
    ),
    "optim": (("optim",), ("tests/optim",)),
    "checkpoint": (("checkpoint",), ("tests/checkpoint",)),
}


def sample(packages: list[str], count: int, seed: int) -> list[Mutant]:
    """`count` different mutants, as many of each package."""
    chosen: list[Mutant] = []
    for index, package in enumerate(packages):
        places = [ROOT / "src" / "openk2" / source for source in PACKAGES[package][0]]
        files = [f for p in places for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
        makers = [maker for file in files for maker in mutants_of(package, file)]
        share = count // len(packages) + (index < count % len(packages))
        picked = random.Random(f"{seed} {package}").sample(makers, min(share, len(makers)))
        chosen += [maker() for maker in picked]
    return chosen


def known() -> list[Mutant]:
    """The committed mutants: a text of a file exchanged for another."""
    found = []
    for entry in tomllib.loads(KNOWN.read_text())["mutant"]:
        source = (ROOT / entry["path"]).read_text()
        if source.count(entry["old"]) != 1:
            raise SystemExit(f"{KNOWN.name}: {entry['path']} has not one {entry['old']!r}")
        line = source[: source.index(entry["old"])].count("\n") + 1
        after = source.replace(entry["old"], entry["new"])
        found.append(Mutant(entry["package"], entry["path"], line, entry["what"], after))
    return found


def tests_of(mutant: Mutant, root: Path) -> list[list[str]]:
    """The package's test files in two groups: the mirrored file, then the others."""
    source = Path(mutant.path).relative_to("src/openk2")
    mirrored = Path("tests") / source.parent / f"test_{source.stem}.py"
    folders = PACKAGES[mutant.package][1]
    files = [f for folder in folders for f in sorted((root / folder).rglob("test_*.py"))]
    names = [str(file.relative_to(root)) for file in files]
    first = [name for name in names if name == str(mirrored)]
    others = [name for name in names if name != str(mirrored)]
    return [group for group in (first, others) if group]


def in_this_process(arguments: list[str], root: Path, limit: int, output: Path) -> None:
    """Run pytest in a process just forked, within `limit` seconds of processor time."""
    # Processor time: on a busy machine the clock would kill what the tests did not.
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(root)
    os.environ["PYTHONPATH"] = str(root / "src")
    os.environ.setdefault("OPENK2_SHARED", str(ROOT.parent / "shared"))
    sys.path[:0] = [str(root / "src"), str(root)]
    sys.exit(int(pytest.main(arguments)))


def run(mutant: Mutant, root: Path, limit: int) -> str | None:
    """Why the mutant is dead; None if it survives."""
    file = root / mutant.path
    original = file.read_text()
    file.write_text(mutant.source)
    try:
        # Groups in turn, since importing a package's test files takes longer than most tests do.
        verdicts = (failure(names, root, limit) for names in tests_of(mutant, root))
        return next((verdict for verdict in verdicts if verdict), None)
    finally:
        file.write_text(original)


def failure(tests: list[str], root: Path, limit: int) -> str | None:
    """The first test of these files that fails, or what ended pytest; None if all pass."""
    output = root / "output.txt"
    flags = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-m", "not slow"]
    # Forked, so that torch is imported once. openk2 is imported after the fork.
    process = multiprocessing.get_context("fork").Process(
        target=in_this_process, args=([*flags, *tests], root, limit, output)
    )
    process.start()
    process.join(3 * limit)  # a test that waits for ever uses no processor
    if process.exitcode is None:
        process.kill()
        process.join()
    # 5: every test of the files is slow.
    if process.exitcode in (0, 5):
        return None
    text = output.read_text()
    lines = [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if lines:
        return lines[0].split(" - ")[0].split("::")[-1]
    if process.exitcode is not None and process.exitcode > 0:
        raise SystemExit(f"pytest did not run, status {process.exitcode}:\n{text[-2000:]}")
    return f"signal {-(process.exitcode or 0)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--package", choices=PACKAGES, action="append")
    parser.add_argument("--limit", type=int, default=300, help="processor seconds a mutant")
    parser.add_argument("--known", action="store_true", help="the mutants of known_mutants.toml")
    options = parser.parse_args()
    packages = options.package or list(PACKAGES)
    mutants = known() if options.known else sample(packages, options.count, options.seed)
    mutants = [mutant for mutant in mutants if mutant.package in packages]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        root = Path(folder)
        for name in ("src", "tests", "benchmarks", "docs", "recipes"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "ARCHITECTURE.md"):
            shutil.copy(ROOT / name, root / name)
        for mutant in mutants:
            begun = time.monotonic()
            verdict = run(mutant, root, options.limit)
            survivors += verdict is None
            seconds = time.monotonic() - begun
            state = "SURVIVED" if verdict is None else "killed  "
            where = f"{mutant.path.removeprefix('src/openk2/')}:{mutant.line}"
            print(
                f"{state} {seconds:4.0f} s  {where}  {mutant.change}  [{verdict or ''}]", flush=True
            )
    killed = len(mutants) - survivors
    print(f"{killed} of {len(mutants)} mutants killed ({killed / max(len(mutants), 1):.0%})")
    sys.exit(min(survivors, 125))


if __name__ == "__main__":
    main()
