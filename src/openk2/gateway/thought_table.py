"""`ThoughtTable`: reasoning by the names of its turns, in SQLite, bounded in bytes and age.

One table for both places, a file and this process's memory, so that the bounds are the same. When
it is full, the tenant that holds the most loses its oldest, so that nobody can drive out what
others have.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

APPLICATION = 0x6F6B3200  # in the file's header: "ok2"
VERSION = 1
OVERHEAD_BYTES = 512  # of a thought's names and indices
# A writer elsewhere holds the file for about a millisecond.
LOCK_SECONDS = 0.25
# At the start: another gateway may be making the tables, or closing the file as the last one.
OPEN_SECONDS = 5.0
MOST_ASKED = 500  # names in one query
# Expired thoughts that one more makes room of; after a quiet day all of them would take seconds.
MOST_EXPIRED = 64

SCHEMA = """
CREATE TABLE thoughts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant BLOB NOT NULL, made REAL NOT NULL,
    size INTEGER NOT NULL, text BLOB NOT NULL
);
CREATE INDEX by_tenant ON thoughts (tenant, id);
CREATE INDEX by_age ON thoughts (made);
CREATE TABLE names (name BLOB, thought INTEGER, PRIMARY KEY (name, thought)) WITHOUT ROWID;
CREATE INDEX by_thought ON names (thought);
CREATE TABLE tenants (tenant BLOB PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX by_size ON tenants (size);
CREATE TRIGGER added AFTER INSERT ON thoughts BEGIN
    INSERT INTO tenants VALUES (new.tenant, new.size)
        ON CONFLICT (tenant) DO UPDATE SET size = size + new.size;
END;
CREATE TRIGGER removed AFTER DELETE ON thoughts BEGIN
    DELETE FROM names WHERE thought = old.id;
    UPDATE tenants SET size = size - old.size WHERE tenant = old.tenant;
    DELETE FROM tenants WHERE tenant = old.tenant AND size <= 0;
END;
"""


class StateFileError(ValueError):
    """A state file that cannot be used; the message is one line with the remedy."""


class ThoughtTable:
    """One database, used from one thread at a time. Methods raise sqlite3.Error.

    path: of the file, made if it is missing; None is in memory. most_bytes: of all thoughts.
    seconds: how long one is kept. clock: seconds since the epoch.
    Raises StateFileError.
    """

    def __init__(
        self,
        path: Path | None,
        most_bytes: int,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._most, self._seconds, self._clock = most_bytes, seconds, clock
        self._db = connect(":memory:") if path is None else open_file(path)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def keep(self, tenant: str, names: Sequence[bytes], thought: str) -> bool:
        """Add a thought under the names of its turn; whether it was kept, being small enough."""
        text, owner = thought.encode("utf-8", "surrogatepass"), tenant.encode()
        size = len(text) + OVERHEAD_BYTES
        if size > self._most // 4:
            return False
        now = self._clock()
        with Transaction(self._db):
            expired = "SELECT id FROM thoughts WHERE made < ? ORDER BY made LIMIT ?"
            self._db.execute(
                f"DELETE FROM thoughts WHERE id IN ({expired})", (now - self._seconds, MOST_EXPIRED)
            )
            known = self._newest([names[0]]).get(names[0])
            if known == text:
                return True
            row = (owner, now, size, text)
            values = "(tenant, made, size, text) VALUES (?, ?, ?, ?)"
            number = self._db.execute(f"INSERT INTO thoughts {values}", row).lastrowid
            pairs = [(name, number) for name in names]
            self._db.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", pairs)
            self._make_room()
        return True

    def _make_room(self) -> None:
        (size,) = self._db.execute("SELECT TOTAL(size) FROM tenants").fetchone()
        # Nothing in the loop may count the table: a large thought removes thousands of small ones.
        largest = "SELECT tenant FROM tenants ORDER BY size DESC LIMIT 1"
        oldest = f"SELECT id, size FROM thoughts WHERE tenant = ({largest}) ORDER BY id LIMIT 1"
        while size > self._most:
            row = self._db.execute(oldest).fetchone()
            if row is None:
                raise sqlite3.DatabaseError("its sizes are not those of its thoughts")
            number, freed = row
            self._db.execute("DELETE FROM thoughts WHERE id = ?", (number,))
            size -= freed

    def find(self, turns: Sequence[Sequence[bytes]]) -> list[str | None]:
        """The thought of each turn by its names, None if none of them is known.

        A turn's first name gives the newest thought; each other one counts only if it has one
        thought alone.
        """
        certain = self.certain(turns)
        return [
            known if known is not None else self._likely(names[1:])
            for names, known in zip(turns, certain, strict=True)
        ]

    def certain(self, turns: Sequence[Sequence[bytes]]) -> list[str | None]:
        """As `find`, by the first names alone."""
        newest = self._newest([names[0] for names in turns])
        texts = [newest.get(names[0]) for names in turns]
        return [None if text is None else decoded(text) for text in texts]

    def _newest(self, names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The newest text of each name that has one."""
        found: dict[bytes, bytes] = {}
        for start in range(0, len(names), MOST_ASKED):
            asked = names[start : start + MOST_ASKED]
            marks = ", ".join(["(?)"] * len(asked))
            # One text for each name: the same prompt again and again has thousands of thoughts.
            newest = "SELECT MAX(thought) FROM names WHERE names.name = asked.name"
            rows = self._db.execute(
                f"WITH asked (name) AS (VALUES {marks}) SELECT asked.name, text "
                f"FROM asked JOIN thoughts ON id = ({newest}) WHERE made >= ?",
                (*asked, self._clock() - self._seconds),
            )
            found |= dict(rows.fetchall())
        return found

    def _likely(self, names: Sequence[bytes]) -> str | None:
        for name in names:
            rows = self._db.execute(
                "SELECT DISTINCT text FROM names JOIN thoughts ON id = thought "
                "WHERE name = ? AND made >= ? LIMIT 2",
                (name, self._clock() - self._seconds),
            ).fetchall()
            if len(rows) == 1:
                return decoded(rows[0][0])
        return None

    def stats(self) -> Mapping[str, int]:
        """thoughts: how many are kept. bytes: of them."""
        count, size = self._db.execute(
            "SELECT (SELECT COUNT(*) FROM thoughts), (SELECT TOTAL(size) FROM tenants)"
        ).fetchone()
        return {"thoughts": int(count), "bytes": int(size)}


def decoded(text: bytes) -> str:
    """A thought's text."""
    return text.decode("utf-8", "surrogatepass")


class Transaction:
    """Everything in it, or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
                return
            except sqlite3.Error:
                self._roll_back()
                raise
        self._roll_back()

    def _roll_back(self) -> None:
        # A full disk has rolled it back already.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def connect(name: str) -> sqlite3.Connection:
    """A database with this schema, made if it is empty."""
    db = sqlite3.connect(name, timeout=OPEN_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        set_up(db)
        db.execute(f"PRAGMA busy_timeout = {int(LOCK_SECONDS * 1000)}")
    except BaseException:
        db.close()
        raise
    return db


def set_up(db: sqlite3.Connection) -> None:
    """Make the tables in an empty database. Raises StateFileError for one with other tables, which
    stays as it was."""
    is_new = check_owner(db)
    # Write-ahead: readers do not wait for writers, and a crash leaves what was committed.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA journal_size_limit = 16777216")
    if not is_new:
        return
    with Transaction(db):
        if check_owner(db):  # another gateway may have made them since
            for statement in statements(SCHEMA):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")


def check_owner(db: sqlite3.Connection) -> bool:
    """Whether the database is empty. Raises StateFileError if it has other tables than these."""
    (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if tables and application != APPLICATION:
        raise StateFileError("is another program's database: give another path")
    if tables and version != VERSION:
        raise StateFileError(
            f"has version {version}, this openk2 reads {VERSION}: give another path"
        )
    return not tables


def statements(script: str) -> list[str]:
    """The statements of a script, for a transaction, which `executescript` would end."""
    found, begun = [], ""
    for line in script.strip().splitlines():
        begun += line + "\n"
        if sqlite3.complete_statement(begun):
            found.append(begun)
            begun = ""
    return found


def open_file(path: Path) -> sqlite3.Connection:
    """The database of a file that only its owner may read. Raises StateFileError."""
    try:
        # SQLite gives the files beside it the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if os.name == "posix" and mode & 0o077:
            raise StateFileError(f"can be read by other users (mode {mode:o}): chmod 600 it")
        # Root could open one that somebody put there to read along, or to plant thoughts.
        if os.name == "posix" and found.st_uid != os.geteuid():
            raise StateFileError(f"belongs to another user ({found.st_uid}): chown it")
        db = connect(str(path))
        try:
            (state,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise StateFileError(f"is damaged ({state[:80]!r}): remove it or give another path")
        except BaseException:
            db.close()
            raise
        return db
    except StateFileError as error:
        raise StateFileError(f"the state file {path} {error}") from error
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise StateFileError(
            f"the state file {path} cannot be used: {reason}; remove it or give another path"
        ) from error
