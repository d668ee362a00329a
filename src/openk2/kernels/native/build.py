"""Build the native kernels: `python -m openk2.kernels.native.build`.

setup.py calls the same function when the package is installed. Each instruction set's file is
compiled for that set alone, the rest for any processor, so that one library runs everywhere.
Knows the standard library only: it runs where torch is not installed yet.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).parent
LIBRARY = SOURCES / "kernels.so"

# -ffp-contract=off and no -ffast-math: the order and the rounding of sums are the kernels' own.
FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-pthread",
    "-Wall",
    "-Wextra",
)
AVX2 = ("-mavx2", "-mfma")
AVX512 = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512")
# Characters of a compiler's message that are passed on.
MOST_WORDS = 3000

X86_FLAGS = {
    "avx2.cpp": AVX2,
    "avx512.cpp": AVX512,
    "avx512_bf16.cpp": (*AVX512, "-mavx512bf16"),
}


class BuildError(RuntimeError):
    """The library could not be built; the message says why and what to do."""


def digest() -> str:
    """Names the sources' content; a library keeps the digest of what it was built from."""
    content = hashlib.sha256()
    for file in sorted([*SOURCES.glob("*.cpp"), *SOURCES.glob("*.h"), Path(__file__)]):
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()[:16]


def find_compiler() -> str:
    """CXX, or the first of g++, clang++ and c++ that exists. Raises BuildError."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    for name in names:
        if shutil.which(name):
            return name
    raise BuildError(f"no C++ compiler found ({', '.join(names)}): install g++ or set CXX")


def build(library: Path = LIBRARY) -> Path:
    """Compile and link `library`, replacing it whole. Raises BuildError, with what g++ said."""
    if sysconfig.get_platform().startswith("win"):
        raise BuildError("the native kernels are not built on Windows")
    compiler = find_compiler()
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    sources = [file for file in sorted(SOURCES.glob("*.cpp")) if x86 or file.name not in X86_FLAGS]
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:

        def compile_one(source: Path) -> str:
            target = Path(folder) / f"{source.stem}.o"
            own = X86_FLAGS.get(source.name, ())
            defined = (f'-DOPENK2_DIGEST="{digest()}"', *(("-DOPENK2_X86",) if x86 else ()))
            run(compiler, *FLAGS, *own, *defined, "-c", str(source), "-o", str(target))
            return str(target)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_one, sources))
        linked = Path(folder) / library.name
        run(compiler, "-shared", "-pthread", *objects, "-o", str(linked))
        linked.replace(library)
    return library


def run(*command: str) -> None:
    """Run a compiler's command. Raises BuildError."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip()
        raise BuildError(f"{' '.join(command)} failed:\n{words[:MOST_WORDS]}")


if __name__ == "__main__":
    try:
        print(f"built {build()}")
    except BuildError as error:
        sys.exit(f"the native kernels were not built: {error}")
