"""A lock that admits one writer to a folder at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Lock `folder`, created if absent, for this process until the block ends.

    The system releases the lock when the process ends, however it ends. Raises BlockingIOError if
    another process, or another block of this one, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"{folder} is in use by another run: wait for its end or name another folder"
            ) from error
        yield
