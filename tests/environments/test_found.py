"""Which sandbox is taken, what a container's command line asks for, which languages are found."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from openk2.environments import (
    Finished,
    Limits,
    SandboxError,
    container,
    find_commands,
    find_languages,
    find_sandbox,
    found,
)
from openk2.environments.cgroup import cgroup_parents, make_cgroup
from openk2.environments.container import Container, find_engine

LIMITS = Limits(seconds=7, memory_bytes=1 << 28, disk_bytes=1 << 20, processes=9)


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_subprocess_is_taken_only_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SandboxError("not here")

    monkeypatch.setattr(found, "_bubblewrap", refuse)
    monkeypatch.setattr(found, "_container", refuse)
    with pytest.raises(SandboxError) as told:
        find_sandbox()
    assert "--sandbox subprocess" in str(told.value)
    assert "\n" not in str(told.value)
    assert find_sandbox("subprocess").not_isolated


def test_an_unknown_sandbox_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SandboxError, match="bubblewrap, container, subprocess"):
        find_sandbox("vm")


def test_an_engine_counts_only_if_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_engine() is None
    program(tmp_path, "docker", "exit 1")
    assert find_engine() is None
    with pytest.raises(SandboxError, match="no container engine"):
        find_sandbox("container")
    podman = program(tmp_path, "podman", '[ "$1" != run ] || echo ready')
    assert find_engine() == str(podman)
    assert find_sandbox("container").name == "container"


def test_a_container_without_its_image_is_not_taken_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = '[ "$1" = info ] || { echo "No such image" >&2; exit 125; }'
    program(tmp_path, "docker", absent)
    with pytest.raises(SandboxError, match=f"{container.IMAGE} is not here: docker pull") as told:
        find_sandbox("container")
    assert "\n" not in str(told.value)
    broken = '[ "$1" != run ] || { echo "a warning" >&2; echo "no runc" >&2; exit 125; }'
    program(tmp_path, "docker", broken)
    with pytest.raises(SandboxError, match=r"docker started none \(no runc\)"):
        find_sandbox("container")


def test_125_is_the_engines_and_never_the_commands() -> None:
    line = Container("/usr/bin/docker", "image").command_line("n", "/f", [], LIMITS)
    script = line[line.index("-c") + 1].replace("cp -r /files/. /box", "true")
    codes = {
        code: subprocess.run(["sh", "-c", script, "sh", "sh", "-c", f"exit {code}"]).returncode
        for code in (0, 3, 125)
    }
    assert codes == {0: 0, 3: 3, 125: 1}


def test_a_container_has_every_limit_and_no_network() -> None:
    line = Container("/usr/bin/docker", "image").command_line("n", "/f", ["ls", "-a"], LIMITS)
    text = " ".join(line)
    for option in (
        "--network none",
        "--read-only",
        "--user 65534:65534",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        f"--memory {1 << 28}",
        f"--memory-swap {1 << 28}",
        "--pids-limit 9",
        "--pull never",
        f"size={1 << 20}",
        "--volume /f:/files:ro",
    ):
        assert option in text, option
    assert "timeout -k 1 7" in text
    assert line[-2:] == ["ls", "-a"]
    assert text.count("--volume") == 1


def test_a_containers_end_is_read(tmp_path: Path) -> None:
    # The engine's program is a stand-in here: its files, its input and its exit codes are ours.
    script = 'while [ "$1" != --volume ]; do shift; done; cat "${2%%:*}/a/b"; cat; exit 3'
    engine = program(tmp_path, "docker", script)
    finished = Container(str(engine)).run(["x"], {"a/b": b"file "}, stdin=b"input")
    assert finished == Finished(3, b"file input", b"")
    assert Container(str(program(tmp_path, "podman", "exit 124"))).run(["x"]).timed_out
    assert Container(str(program(tmp_path, "docker", "exit 137"))).run(["x"]).out_of_memory


def test_a_container_that_does_not_end_is_killed_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    script = f'[ "$1" = kill ] && echo "$2" > {killed} || exec sleep 60'
    engine = program(tmp_path, "docker", script)
    monkeypatch.setattr(container, "_START", 0.2)
    assert Container(str(engine)).run(["x"], limits=Limits(seconds=0.3)).timed_out
    assert killed.read_text().startswith("openk2-")


def test_languages_are_asked_of_the_sandbox_and_missing_ones_named() -> None:
    sandbox = find_sandbox("subprocess")
    assert find_commands(sandbox, ["sh", "no-such-program"]) == {"sh"}
    languages = find_languages(sandbox)
    assert languages["bash"] == "" or languages["bash"] == "bash: not found"
    assert {"python", "cpp", "csharp", "java", "javascript", "php", "bash", "typescript"} <= set(
        languages
    )


def test_a_program_that_does_not_exist_is_its_own_failure() -> None:
    for name in ("bubblewrap", "subprocess"):
        try:
            sandbox = find_sandbox(name)
        except SandboxError:
            continue
        finished = sandbox.run(["no-such-program"])
        assert finished.exit_code == 127
        assert b"no-such-program" in finished.stderr


def test_a_cgroup_kills_what_is_in_it() -> None:
    if not cgroup_parents():
        pytest.skip("this process may make no cgroup")
    group = make_cgroup(1 << 26, 4)
    assert group is not None
    script = "import sys, time\nfor f in sys.argv[1:]: open(f, 'w').write('0')\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script, *group.entries])
    try:
        while not (group.folders[-1] / "cgroup.procs").read_text():
            assert process.poll() is None
        group.kill()
        assert process.wait(5) == -9
        assert not any(folder.exists() for folder in group.folders)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("sandbox", ["bubblewrap", "subprocess"])
def test_a_cgroup_that_the_kernel_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: str
) -> None:
    try:
        found = find_sandbox(sandbox)
    except SandboxError:
        pytest.skip(f"no {sandbox}")
    gone = (tmp_path / "a", tmp_path / "gone" / "b")
    gone[0].mkdir()
    monkeypatch.setattr("openk2.environments.cgroup.cgroup_parents", lambda: gone)
    with pytest.raises(SandboxError, match=r"no cgroup openk2-.*No such file.*--sandbox") as told:
        found.run(["true"])
    assert "\n" not in str(told.value)
    assert not list(gone[0].iterdir())
