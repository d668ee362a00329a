"""glibc's allocator, told to keep what it frees.

By default every tensor above 32 MB is a fresh mapping whose pages the kernel zeroes one fault at a
time; a training step then spends a third of its time there (measured in docs/design/training.md).
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Serve large blocks from the heap and never give the heap back; does nothing off glibc."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(M_TOP_PAD, 256 << 20)
