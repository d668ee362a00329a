"""The processes below one process, and what they hold: for kernels without a cgroup for us."""

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> list[int]:
    """Processes below `pid`, without itself, parents first. One that ends meanwhile is left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            parent = _parent(int(entry))
            if parent is not None:
                children.setdefault(parent, []).append(int(entry))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of one process in bytes, shared pages included; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def num_threads(pid: int) -> int:
    """Threads of one process; 0 once it has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def exceeds(pid: int, memory_bytes: int, processes: int) -> bool:
    """Whether the tree below `pid` holds more memory, or more processes and threads, than that."""
    tree = descendants(pid)
    if len(tree) > processes or sum(map(resident_bytes, tree)) > memory_bytes:
        return True
    return sum(map(num_threads, tree)) > processes


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(stat[stat.rindex(b")") + 2 :].split()[1])
