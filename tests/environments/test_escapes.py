"""Hostile commands: none reads, writes, reaches, exhausts or outlives what it must not.

Each runs in bubblewrap where the kernel lets it, and in the limited subprocess for what it claims.
"""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from openk2.environments import Limits, Sandbox, SandboxError, cgroup, find_sandbox
from openk2.environments.cgroup import cgroup_parents
from openk2.environments.limited_process import can_take_network

LIMITS = Limits(seconds=5, memory_bytes=192 << 20, disk_bytes=8 << 20, processes=32)


def found(name: str) -> Sandbox:
    try:
        return find_sandbox(name)
    except SandboxError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["bubblewrap", "container", "subprocess"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return found(request.param)


@pytest.fixture(params=["cgroup", "counted"])
def bounded(
    request: pytest.FixtureRequest, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Sandbox:
    """With the kernel's count of the whole tree, and on machines that give us none."""
    if request.param == "cgroup" and not cgroup_parents():
        pytest.skip("this process may make no cgroup")
    if request.param == "counted":
        monkeypatch.setattr(cgroup, "cgroup_parents", lambda: ())
    return sandbox


@pytest.fixture(params=["bubblewrap", "container"])
def walls(request: pytest.FixtureRequest) -> Sandbox:
    """One that has a file system of its own."""
    return found(request.param)


@pytest.fixture(autouse=True)
def time_bound() -> Iterator[None]:
    """No hostile command holds a run for longer than its limit and some start and clean-up."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 30


def python(code: str) -> tuple[list[str], dict[str, bytes]]:
    return ["python3", "-I", "attack.py"], {"attack.py": textwrap.dedent(code).encode()}


def survivors(marker: str) -> list[int]:
    """Processes, zombies aside, that carry `marker` in their command line."""
    alive = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    alive.append(int(entry.name))
            except OSError:
                continue
    return alive


def assert_no_survivors(marker: str) -> None:
    deadline = time.monotonic() + 5
    while survivors(marker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not survivors(marker)


def test_a_secret_outside_is_not_there(walls: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    for folder in (secret, *secret.parents):
        if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    places = [str(secret), str(Path.home()), str(Path(__file__)), f"/proc/{os.getpid()}/environ"]
    places += ["/proc/1/root" + str(secret), "/etc/shadow", "/run", "/var", "/root", "/etc/passwd"]
    command, files = python(
        f"""
        import os
        for place in {places!r}:
            try:
                found = os.listdir(place) if os.path.isdir(place) else open(place).read()
                print("REACHED", place, found)
            except OSError:
                pass
        """
    )
    finished = walls.run(command, files, limits=LIMITS)
    assert finished.ok
    assert b"hunter2" not in finished.stdout
    if walls.name == "bubblewrap":  # an image has an /etc/passwd and a /var of its own
        assert finished.stdout == b""


def test_environment_variables_stay_outside(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENK2_TEST_SECRET", "hunter2")
    command, files = python(
        """
        import glob, os
        print(dict(os.environ), os.path.expanduser("~"), os.listdir(os.path.expanduser("~")))
        for place in glob.glob("/proc/*/environ"):
            try:
                print(open(place).read())
            except OSError:
                pass
        """
    )
    finished = sandbox.run(command, files, limits=LIMITS)
    assert b"attack.py" in finished.stdout
    if sandbox.name != "subprocess" or os.geteuid() == 0:
        assert b"hunter2" not in finished.stdout
    assert b"HOME': '" + os.fsencode(Path.home()) + b"'" not in finished.stdout


def test_nothing_is_written_outside(walls: Sandbox, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    marker = f"openk2-{uuid.uuid4().hex}"
    places = [
        tmp_path / marker,
        Path.home() / marker,
        Path("/tmp") / marker,
        Path("/dev/shm") / marker,
    ]
    system = [f"{folder}/{marker}" for folder in ("", "/usr", "/usr/bin", "/etc", "/dev", "/proc")]
    system += ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"]
    command, files = python(
        f"""
        import os
        for place in {[str(place) for place in places]!r}:
            try:
                open(place, "w").close()
            except OSError:
                pass
        for place in {system!r}:
            try:
                os.close(os.open(place, os.O_WRONLY | os.O_CREAT))
                print("WRITTEN", place)
            except OSError:
                pass
        print("end")
        """
    )
    finished = walls.run(command, files, limits=LIMITS)
    assert finished.stdout == b"end\n", finished
    assert not any(place.exists() for place in places)


def test_the_network_is_not_reached(sandbox: Sandbox) -> None:
    if sandbox.name == "subprocess" and not can_take_network():
        pytest.skip("no network namespace here; the subprocess says so in not_isolated")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(b"\0openk2-test-" + uuid.uuid4().hex.encode())
        unix.listen()
        port, abstract = server.getsockname()[1], unix.getsockname()
        command, files = python(
            f"""
            import socket
            places = ((2, ("127.0.0.1", {port})), (1, {abstract!r}), (2, ("1.1.1.1", 53)))
            for family, address in places:
                try:
                    with socket.socket(family) as client:
                        client.settimeout(1)
                        client.connect(address)
                    print("REACHED", address)
                except OSError as error:
                    pass
            print("end")
            """
        )
        finished = sandbox.run(command, files, limits=LIMITS)
        assert finished.stdout == b"end\n", finished


def test_no_user_namespace_is_made_inside() -> None:
    sandbox = found("bubblewrap")
    version = subprocess.run(["bwrap", "--version"], capture_output=True, text=True).stdout
    if tuple(map(int, version.split()[-1].split(".")[:2])) < (0, 8):
        pytest.skip(f"{version.strip()} cannot forbid them")
    command, files = python(
        """
        import ctypes, os
        CLONE_NEWUSER = 0x10000000
        print(ctypes.CDLL(None).unshare(CLONE_NEWUSER))
        """
    )
    assert sandbox.run(command, files, limits=LIMITS).stdout == b"-1\n"


def test_a_fork_bomb_ends(bounded: Sandbox) -> None:
    marker = f"bomb-{uuid.uuid4().hex}"
    command, files = python(
        """
        import os, time
        made = 0
        while True:
            try:
                if os.fork() == 0:
                    time.sleep(60)
                made += 1
                if made > 200:
                    print("MADE", made, flush=True)
            except OSError:
                time.sleep(0.5)
                break
        """
    )
    finished = bounded.run([*command, marker], files, limits=LIMITS)
    assert b"MADE" not in finished.stdout
    assert_no_survivors(marker)


def test_a_fork_bomb_that_goes_on_ends_by_time(bounded: Sandbox) -> None:
    marker = f"bomb-{uuid.uuid4().hex}"
    limits = Limits(seconds=1.5, memory_bytes=192 << 20, processes=32)
    finished = bounded.run(
        ["/bin/sh", "-c", "b() { b | b & }; b; sleep 30 & wait; while :; do b; done", marker],
        limits=limits,
    )
    assert not finished.ok
    assert_no_survivors(marker)


def test_a_memory_bomb_ends(bounded: Sandbox) -> None:
    command, files = python("data = []\nwhile True: data.append(bytearray(16 << 20))")
    finished = bounded.run(command, files, limits=LIMITS)
    assert not finished.ok
    assert not finished.timed_out


def test_memory_is_counted_for_all_processes_together(bounded: Sandbox) -> None:
    command, files = python(
        """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                data = bytearray(100 << 20)
                for at in range(0, len(data), 4096):
                    data[at] = 1
                time.sleep(3)
                print("HELD", flush=True)
                os._exit(0)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break
        """
    )
    finished = bounded.run(command, files, limits=LIMITS)
    assert finished.out_of_memory
    assert finished.stdout.count(b"HELD") < 2


def test_a_disk_bomb_ends(sandbox: Sandbox) -> None:
    command, files = python(
        """
        import time
        written = 0
        for number in range(100):
            try:
                with open(f"file{number}", "wb") as file:
                    for _ in range(4):
                        written += file.write(bytes(1 << 20))
                        file.flush()
                        time.sleep(0.02)
            except OSError:
                break
            if written > 24 << 20:
                print("WROTE", written, flush=True)
        raise SystemExit(1)
        """
    )
    finished = sandbox.run(command, files, limits=LIMITS)
    assert not finished.ok
    assert b"WROTE" not in finished.stdout


def test_one_huge_file_ends(sandbox: Sandbox) -> None:
    command, files = python(
        """
        with open("file", "wb") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
        print("WROTE")
        """
    )
    finished = sandbox.run(command, files, limits=LIMITS)
    assert not finished.ok
    assert b"WROTE" not in finished.stdout


def test_endless_output_is_cut_and_ends_by_time(sandbox: Sandbox) -> None:
    limits = Limits(seconds=1, output_bytes=1000)
    finished = sandbox.run(
        ["/bin/sh", "-c", "while :; do echo yyyyyyyyyyyyyyyyyyyy; done"], limits=limits
    )
    assert finished.timed_out
    assert finished.cut
    assert len(finished.stdout) == 1000


def test_an_endless_program_ends_by_time(sandbox: Sandbox) -> None:
    command, files = python(
        """
        import signal, time
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(1)
        """
    )
    start = time.monotonic()
    assert sandbox.run(command, files, limits=Limits(seconds=1)).timed_out
    assert time.monotonic() - start < 15


def test_a_daemon_does_not_outlive_its_run(sandbox: Sandbox) -> None:
    marker = f"daemon-{uuid.uuid4().hex}"
    command, files = python(
        """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                subprocess.Popen(["/bin/sh", "-c", "sleep 60; :", sys.argv[1]])
                time.sleep(60)
            os._exit(0)
        time.sleep(0.3)
        """
    )
    finished = sandbox.run([*command, marker], files, limits=LIMITS)
    assert finished.exit_code == 0
    assert not finished.timed_out
    assert_no_survivors(marker)


def test_nothing_outlives_a_parent_that_is_killed(sandbox: Sandbox) -> None:
    if sandbox.name == "container":
        pytest.skip("a container outlives a killed parent by its own time limit")
    marker = f"orphan-{uuid.uuid4().hex}"
    script = (
        "import sys; from openk2.environments import Limits, find_sandbox\n"
        "command = ['/bin/sh', '-c', '(setsid sleep 60 &) ; sleep 60; :', sys.argv[2]]\n"
        "find_sandbox(sys.argv[1]).run(command, limits=Limits(seconds=60))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, sandbox.name, marker])
    try:
        deadline = time.monotonic() + 10
        while len(survivors(marker)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        assert len(survivors(marker)) > 1
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert_no_survivors(marker)


def test_a_run_finds_nothing_of_the_run_before(sandbox: Sandbox) -> None:
    sandbox.run(["/bin/sh", "-c", "echo left > left; echo left > $TMPDIR/left"])
    finished = sandbox.run(["/bin/sh", "-c", "cat left $TMPDIR/left"])
    assert finished.stdout == b""


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../b", "", "a//b"])
def test_a_file_cannot_be_put_outside_the_folder(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(SandboxError, match="leaves the sandbox's folder"):
        sandbox.run(["true"], {name: b""})
