"""Memory that ran out, as one line: on a GPU, or where a CPU's allocator was refused."""

import sys

# How torch's allocator for CPUs begins a RuntimeError, which has no class of its own.
CPU_REFUSED = "[enforce fail at alloc_cpu"


def memory_fault(error: BaseException) -> str | None:
    """What ran out and how much was asked for; None for any other error.

    torch is not imported for it: where it is not loaded, it raised nothing.
    """
    text = " ".join(str(error).split())
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        # The rest is advice on the allocator's settings.
        return text.partition(" Including non-PyTorch memory")[0].rstrip(". ")
    if isinstance(error, MemoryError):
        return f"the machine's memory is used up{text and f': {text}'}"
    if isinstance(error, RuntimeError) and CPU_REFUSED in text:
        return f"the machine's memory is used up: {text.rpartition('DefaultCPUAllocator: ')[2]}"
    return None
