"""The kernels in C++: one library for every x86-64 and a portable path for other processors.

The wrappers beside this folder ask `library()` and take their plain twins where it is None. What
the kernels promise, and what it costs: docs/design/kernels.md.
"""

from openk2.kernels.native.shared_library import (
    Library,
    NativeError,
    available,
    instruction_sets,
    library,
    load,
    set_threads,
    threads,
)

__all__ = [
    "Library",
    "NativeError",
    "available",
    "instruction_sets",
    "library",
    "load",
    "set_threads",
    "threads",
]
