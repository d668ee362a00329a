"""Whole or absent: a crash before any single file-system step leaves old or new, complete."""

import subprocess
import sys
from pathlib import Path

import pytest

from openk2.record.atomic import settled_folder, write_file_atomically, write_folder_atomically

# Forks one child a step; the child dies without any clean-up just before its n-th file-system call
# (Python announces each of them to audit hooks), then the parent checks what a reader would find.
CRASH_AT_EVERY_STEP = """
import os, sys
from pathlib import Path
from openk2.record.atomic import settled_folder, write_file_atomically, write_folder_atomically

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.scandir"}

def write(folder, version):
    with write_folder_atomically(folder) as new:
        (new / "a").write_text(version)
        (new / "sub").mkdir()
        (new / "sub" / "b").write_text(version)

def read(folder):
    found = settled_folder(folder)
    a, b = (found / "a").read_text(), (found / "sub" / "b").read_text()
    assert a == b, (a, b)
    return a

def crash_before(step, work):
    child = os.fork()
    if child == 0:
        seen = 0
        def hook(event, args):
            nonlocal seen
            seen += event in EVENTS
            if seen > step:
                os._exit(9)
        sys.addaudithook(hook)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

root = Path(sys.argv[1])
outcomes, step = [], 0
while True:
    folder = root / f"folder{step}"
    write(folder, "old")
    crashed = crash_before(step, lambda: write(folder, "new"))
    outcomes.append(read(folder))
    write(folder, "later")
    assert read(folder) == "later"
    assert sorted(p.name for p in root.glob(f".folder{step}.*")) == []
    if not crashed:
        break
    step += 1
assert outcomes == ["old"] * outcomes.count("old") + ["new"] * outcomes.count("new"), outcomes
assert outcomes.count("old") > 5 and outcomes.count("new") > 2, outcomes

file_outcomes, step = [], 0
while True:
    file = root / f"file{step}"
    write_file_atomically(file, "old")
    crashed = crash_before(step, lambda: write_file_atomically(file, "new"))
    file_outcomes.append(file.read_text())
    if not crashed:
        break
    step += 1
assert file_outcomes == sorted(file_outcomes, reverse=True) and "old" in file_outcomes
"""


def test_a_crash_before_any_file_system_step_leaves_the_old_or_the_new_content_complete(
    tmp_path: Path,
) -> None:
    script = [sys.executable, "-c", CRASH_AT_EVERY_STEP, str(tmp_path)]
    result = subprocess.run(script, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_an_exception_while_filling_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    with write_folder_atomically(folder) as new:
        (new / "a").write_text("old")
    with pytest.raises(FileExistsError), write_folder_atomically(folder) as new:
        (new / "a").mkdir(exist_ok=(new / "a").write_text("new") == 0)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert (folder / "a").read_text() == "old"


def test_a_replaced_folder_keeps_nothing_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "checkpoint"
    for name in ("first", "second"):
        with write_folder_atomically(folder) as new:
            (new / name).write_text(name)
    assert [path.name for path in folder.iterdir()] == ["second"]


def test_the_former_content_counts_only_while_the_folder_is_absent(tmp_path: Path) -> None:
    folder, previous = tmp_path / "c", tmp_path / ".c.previous"
    assert settled_folder(folder) == folder
    previous.mkdir()
    assert settled_folder(folder) == previous
    folder.mkdir()
    assert settled_folder(folder) == folder


def test_a_file_is_replaced_whole_and_a_failed_write_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    write_file_atomically(path, "ä")
    assert path.read_bytes() == "ä".encode()
    write_file_atomically(path, b"new")
    with pytest.raises(UnicodeEncodeError):
        write_file_atomically(path, "\ud800")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["index.json"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("precious")
    with (
        pytest.raises(NotADirectoryError, match="is a file"),
        write_folder_atomically(tmp_path / "c"),
    ):
        pass
    assert (tmp_path / "c").read_text() == "precious"
