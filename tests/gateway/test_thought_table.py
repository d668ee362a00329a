"""The bounds of what is remembered, and files that cannot be used."""

import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest

from openk2.gateway.thought_table import OVERHEAD_BYTES, StateFileError, ThoughtTable


def key(*parts: object) -> bytes:
    return repr(parts).encode().ljust(32, b".")


def table(path=None, most=1 << 20, seconds=100.0, now=None):
    clock = [0.0] if now is None else now
    return ThoughtTable(path, most, seconds, lambda: clock[0])


def test_a_certain_name_gives_the_newest_and_another_one_only_what_is_alone() -> None:
    kept = table()
    kept.keep("a", [key(1), key("near"), key("start", 1)], "one")
    kept.keep("a", [key(2), key("near"), key("start", 2)], "two")
    kept.keep("a", [key(2), key("near"), key("start", 2)], "two again")
    assert kept.find([[key(1)], [key(2)], [key(3)]]) == ["one", "two again", None]
    assert kept.find([[key(3), key("near")]]) == [None]  # it may be either
    assert kept.find([[key(3), key("near"), key("start", 1)]]) == ["one"]
    assert kept.find([]) == []


def test_the_same_thought_again_is_kept_once() -> None:
    kept = table()
    for _ in range(5):
        assert kept.keep("a", [key(1), key("near")], "one")
    assert kept.stats()["thoughts"] == 1


@pytest.mark.parametrize("text", ["", "雪\0x", "\ud800", "x" * 100_000])
def test_any_text_comes_back(text, tmp_path) -> None:
    for path in (None, tmp_path / "state"):
        kept = table(path)
        kept.keep("a", [key(1)], text)
        assert kept.find([[key(1)]]) == [text]
        kept.close()


def test_more_names_than_one_query_takes() -> None:
    kept = table(most=1 << 24)
    for number in range(1200):
        kept.keep("a", [key(number)], str(number))
    turns = [[key(number)] for number in range(0, 2400, 2)]
    assert kept.find(turns) == [str(n) if n < 1200 else None for n in range(0, 2400, 2)]


@pytest.mark.parametrize("on_disk", [False, True])
def test_never_more_bytes_than_the_bound_and_the_oldest_go_first(tmp_path, on_disk) -> None:
    rng, most = random.Random(4), 60_000
    kept = table(tmp_path / "state" if on_disk else None, most)
    for number in range(400):
        assert kept.keep("a", [key(number), key("near")], "x" * rng.randrange(9_000))
        assert kept.stats()["bytes"] <= most
    found = kept.find([[key(number)] for number in range(400)])
    first = next(index for index, text in enumerate(found) if text is not None)
    assert first > 300
    assert all(text is not None for text in found[first:])
    names = kept._db.execute("SELECT COUNT(*) FROM names").fetchone()[0]
    assert names == 2 * kept.stats()["thoughts"]  # no name is left of what went
    kept.close()


def test_one_too_large_is_not_kept_and_drives_nothing_out() -> None:
    kept = table(most=10_000)
    kept.keep("a", [key(1)], "small")
    assert not kept.keep("a", [key(2)], "x" * 5_000)
    assert kept.find([[key(1)], [key(2)]]) == ["small", None]


def test_who_fills_the_table_loses_his_own_only() -> None:
    kept = table(most=100_000)
    for number in range(5):
        kept.keep("quiet", [key("quiet", number)], "mine")
    for number in range(500):
        kept.keep("loud", [key("loud", number)], "x" * 3_000)
    assert kept.find([[key("quiet", number)] for number in range(5)]) == ["mine"] * 5
    assert kept.stats()["bytes"] > 90_000


def test_what_is_old_is_not_found_and_makes_room() -> None:
    now = [1000.0]
    kept = table(seconds=60, now=now)
    kept.keep("a", [key(1), key("near")], "old")
    now[0] += 59
    assert kept.find([[key(1)], [key(0), key("near")]]) == ["old", "old"]
    now[0] += 2
    assert kept.find([[key(1)], [key(0), key("near")]]) == [None, None]
    kept.keep("b", [key(2)], "new")
    assert kept.stats() == {"thoughts": 1, "bytes": OVERHEAD_BYTES + 3}


def steps(kept, work) -> int:
    """How many instructions of SQLite's machine the work takes, in tens."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    kept._db.set_progress_handler(step, 10)
    work()
    kept._db.set_progress_handler(None, 0)
    return count


def test_the_same_turn_again_and_again_does_not_make_the_next_slower() -> None:
    kept, name = table(), [key("hi"), key("near")]
    kept.keep("a", name, "first")
    early = steps(kept, lambda: kept.keep("a", name, "second"))
    for number in range(1000):
        kept.keep("a", name, f"thought {number}")
    assert steps(kept, lambda: kept.keep("a", name, "last")) < 2 * early
    assert kept.find([name]) == ["last"]


def test_room_is_made_without_counting_the_table_for_each_that_goes() -> None:
    kept = table(most=100_000)
    for number in range(180):
        kept.keep("a", [key(number)], "small")
    said: list[str] = []
    kept._db.set_trace_callback(said.append)
    kept.keep("a", [key("large")], "x" * 20_000)
    assert sum(one.startswith("DELETE") for one in said) > 20
    assert sum("COUNT(" in one or "TOTAL(" in one for one in said) == 1


def test_after_a_quiet_day_the_first_thought_does_not_wait_for_all_that_expired() -> None:
    now = [1000.0]
    kept = table(seconds=60, now=now)
    for number in range(200):
        kept.keep("a", [key(number)], "old")
    now[0] += 100
    kept.keep("a", [key("new")], "new")
    assert 1 < kept.stats()["thoughts"] < 200
    assert kept.find([[key(199)], [key("new")]]) == [None, "new"]
    for number in range(4):
        kept.keep("a", [key("new", number)], "new")
    assert kept.stats()["thoughts"] == 5


def test_a_file_that_another_gateway_holds_for_a_moment_is_waited_for(tmp_path) -> None:
    path = tmp_path / "state"
    table(path).close()
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    lets_go = threading.Timer(0.6, db.close)
    lets_go.start()
    table(path).close()
    lets_go.join()


def test_a_file_is_private_and_found_again(tmp_path) -> None:
    path = tmp_path / "state"
    first = table(path)
    first.keep("a", [key(1)], "one")
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    second = table(path)  # another gateway
    second.keep("b", [key(2)], "two")
    assert first.find([[key(1)], [key(2)]]) == second.find([[key(1)], [key(2)]]) == ["one", "two"]
    first.close()
    second.close()
    again = table(path)
    assert again.find([[key(1)], [key(2)]]) == ["one", "two"]
    again.close()


@pytest.mark.skipif(os.name != "posix", reason="files have owners on POSIX")
def test_a_file_of_another_user_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "state"
    table(path).close()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(StateFileError, match=f"belongs to another user .{user}.: chown it"):
        table(path)


def foreign(path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cookies (a)")
    db.close()


def newer(path) -> None:
    table(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()


def damaged(path) -> None:
    kept = table(path, most=1 << 24)
    for number in range(300):
        kept.keep("a", [key(number)], "x" * 2_000)
    kept._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept.close()
    data = bytearray(path.read_bytes())
    for place in range(8192, len(data) - 4096, 4096):
        data[place : place + 200] = b"\xff" * 200
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b"not a database" * 100), "not a database"),
        (foreign, "another program's database"),
        (newer, "has version 9"),
        (damaged, "state file"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: (path.touch(), path.chmod(0o644)), "chmod 600"),
        (lambda path: path.symlink_to("/no/such/folder/x"), "No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_stays(tmp_path, make, words) -> None:
    path = tmp_path / "state"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    if path.is_file() and words != "chmod 600":
        path.chmod(0o600)
    with pytest.raises(StateFileError) as caught:
        table(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if before is not None:
        assert path.read_bytes() == before


WRITER = """
import sys
from pathlib import Path
from openk2.gateway.thought_table import ThoughtTable
kept = ThoughtTable(Path(sys.argv[1]), 1 << 24, 1e9)
number = 0
while True:
    kept.keep("a", [b"%032d" % number], "x" * 1000)
    print(number, flush=True)
    number += 1
"""


def test_a_killed_writer_leaves_all_that_it_had_kept(tmp_path) -> None:
    path = tmp_path / "state"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        while int(writer.stdout.readline()) < 50:
            pass
        writer.kill()
        rest = writer.stdout.read().split("\n")
    last = max([50, *(int(line) for line in rest[:-1] if line)])
    kept = table(path, most=1 << 24, seconds=1e12)
    found = kept.find([[b"%032d" % number] for number in range(last + 1)])
    assert found == ["x" * 1000] * (last + 1)
    kept.close()
