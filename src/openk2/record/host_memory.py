"""How much memory a process may still take, before the kernel starts to kill.

Linux grants more than it has and kills later, so a refused allocation is no warning. What counts is
the machine's MemAvailable and, in a container, the limits of its control groups (versions 1 and 2).
"""

from collections.abc import Iterator
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def available_host_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Bytes that this process can take; None where the system does not say (not Linux).

    proc, cgroups: where the two file systems are mounted.
    """
    available = fields_of(proc / "meminfo").get("MemAvailable")
    if available is None:
        return None
    return max(0, min([available * 1024, *left_in_groups(proc, cgroups)]))


def left_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Bytes left under the limit of each control group that holds this process.

    The page cache counts as used there; what the kernel would drop first does not count here.
    """
    for folder, limits, used, inactive in groups_of(proc, cgroups):
        uses = number_in(folder / used)
        for limit in limits:
            if (most := number_in(folder / limit)) is not None and uses is not None:
                cached = fields_of(folder / "memory.stat").get(inactive, 0)
                yield most - max(0, uses - cached)


def groups_of(proc: Path, cgroups: Path) -> Iterator[tuple[Path, tuple[str, ...], str, str]]:
    """Folders of this process's memory groups, the innermost first, and the names of the files:
    limits, use, and the field of memory.stat for page cache that the kernel drops first.

    Above memory.high a process is not killed, but slowed down until it hardly runs.

    In a container the path may name folders of the host; those that are not there are passed over.
    """
    limits: tuple[str, ...]
    for line in text_of(proc / "self" / "cgroup").splitlines():
        _, _, kinds_and_path = line.partition(":")
        kinds, _, path = kinds_and_path.partition(":")
        if kinds == "":
            roots, limits = [cgroups, cgroups / "unified"], ("memory.max", "memory.high")
            used, inactive = "memory.current", "inactive_file"
        elif "memory" in kinds.split(","):
            roots, limits = [cgroups / "memory"], ("memory.limit_in_bytes",)
            used, inactive = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        inner = Path(path.lstrip("/"))
        for root in roots:
            for folder in (inner, *inner.parents):
                yield root / folder, limits, used, inactive


def fields_of(file: Path) -> dict[str, int]:
    """`name number` or `name: number unit`, a line each."""
    words = (line.replace(":", " ").split() for line in text_of(file).splitlines())
    return {found[0]: int(found[1]) for found in words if len(found) > 1 and found[1].isdecimal()}


def number_in(file: Path) -> int | None:
    """The file's number; None if it is not there or says `max`."""
    text = text_of(file).strip()
    return int(text) if text.isdecimal() else None


def text_of(file: Path) -> str:
    """What the file holds; nothing if it cannot be read, as for a kernel without it."""
    try:
        return file.read_text()
    except OSError:
        return ""
