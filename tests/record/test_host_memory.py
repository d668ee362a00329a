from pathlib import Path

import pytest

from openk2.record import available_host_memory

MIB = 1 << 20


def machine(folder: Path, group: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A /proc that says 1,000 MiB are available, and control groups."""
    proc, cgroups = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    cgroups.mkdir()
    (proc / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {1000 * 1024} kB\n")
    (proc / "self" / "cgroup").write_text(group)
    for name, text in files.items():
        (cgroups / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroups / name).write_text(text)
    return proc, cgroups


@pytest.mark.parametrize(
    ("group", "files", "left"),
    [
        ("", {}, 1000),
        ("0::/\n", {"memory.max": "max\n", "memory.current": f"{5 * MIB}\n"}, 1000),
        # Of 300 MiB in use 50 are page cache that the kernel would drop.
        (
            "0::/\n",
            {
                "memory.max": f"{400 * MIB}",
                "memory.current": f"{300 * MIB}",
                "memory.stat": f"anon 7\ninactive_file {50 * MIB}\n",
            },
            150,
        ),
        # The outer group is the tighter one.
        (
            "0::/outer/inner\n",
            {
                "outer/inner/memory.max": f"{900 * MIB}",
                "outer/inner/memory.current": "0",
                "outer/memory.max": f"{700 * MIB}",
                "outer/memory.current": f"{100 * MIB}",
            },
            600,
        ),
        # Slowed down from 500 MiB on, killed at 900.
        (
            "0::/\n",
            {
                "memory.max": f"{900 * MIB}",
                "memory.high": f"{500 * MIB}",
                "memory.current": f"{100 * MIB}",
            },
            400,
        ),
        # Version 1 in a container: the path is the host's, the files are at the root.
        (
            "12:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n",
            {
                "memory/memory.limit_in_bytes": f"{200 * MIB}",
                "memory/memory.usage_in_bytes": f"{80 * MIB}",
                "memory/memory.stat": f"total_inactive_file {30 * MIB}\n",
            },
            150,
        ),
        # A group that is over its limit has nothing left, and not less.
        ("0::/\n", {"memory.max": "1000", "memory.current": "5000"}, 0),
    ],
)
def test_what_is_left_is_the_least_of_machine_and_groups(
    tmp_path: Path, group: str, files: dict[str, str], left: int
) -> None:
    assert available_host_memory(*machine(tmp_path, group, files)) == left * MIB


def test_a_system_that_does_not_say_gives_none(tmp_path: Path) -> None:
    assert available_host_memory(tmp_path, tmp_path) is None
