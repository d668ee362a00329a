"""Files and folders that are either whole or absent, whenever the machine crashes.

A file is written under a temporary name, synced, and renamed over the old one. A folder cannot be
renamed over another, so replacing one takes two renames, and between them the content has a second
name. Beside `name` there may be, in the same parent:

    name            the complete content, once there is any
    .name.previous  the complete former content, only between the two renames (or after a crash
                    between them); it counts only while `name` is absent
    .name.writing   never complete: being written, being removed, or left over by a crash
    .name.unfinished    the same, of a long work that goes on where it was interrupted

Readers ask `settled_folder` where the complete content is and change nothing; the next writer
clears leftovers. One writer a folder at a time: the caller sees to that.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_file_atomically(path: Path, content: bytes | str) -> None:
    """Write bytes, or text as UTF-8, so that `path` holds the old content or the new, never a part.

    The parent folder must exist. Raises OSError; `path` is then as it was.
    """
    path = path.resolve()
    writing = path.with_name(f".{path.name}.writing")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        with writing.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        writing.rename(path)
    except BaseException:
        writing.unlink(missing_ok=True)
        raise
    _sync(path.parent)


@contextmanager
def write_folder_atomically(folder: Path) -> Iterator[Path]:
    """Yield a new empty folder to fill; when the block ends, it replaces `folder`.

    What was in `folder` is replaced as a whole: readers that go through `settled_folder` find the
    old content complete until the new is complete and on the disk. If the block raises, `folder`
    is as it was. Parents are created. Raises OSError, and NotADirectoryError if `folder` is a file.
    """
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: give the path of a folder to write")
    writing = _writing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(folder)
    writing.mkdir()
    try:
        yield writing
        _sync_tree(writing)
    except BaseException:
        shutil.rmtree(writing)
        raise
    _publish(writing, folder)


@contextmanager
def resume_folder_atomically(folder: Path) -> Iterator[Path]:
    """`write_folder_atomically`, but an interrupted block can be continued.

    Yields the folder to fill with whatever an earlier block left in it, if that raised or its
    process died; what to keep is the caller's matter, and so is syncing files before relying on
    them. Raises BlockingIOError while another process fills it, else as `write_folder_atomically`.
    """
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: give the path of a folder to write")
    unfinished = unfinished_folder(folder)
    unfinished.mkdir(parents=True, exist_ok=True)
    held = os.open(unfinished, os.O_RDONLY)
    try:
        _hold(held, folder)
        yield unfinished
        _sync_tree(unfinished)
        _clear_leftovers(folder)
        _publish(unfinished, folder)
    finally:
        os.close(held)


def unfinished_folder(folder: Path) -> Path:
    """Where `resume_folder_atomically` fills what will be `folder`."""
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}.unfinished")


def settled_folder(folder: Path) -> Path:
    """Where the complete content of `folder` is: `folder`, or its former content after a crash.

    Returns `folder` itself when there is neither, so that the caller's error names what was asked.
    """
    resolved = folder.resolve()
    if not resolved.exists() and _previous(resolved).exists():
        return _previous(resolved)
    return folder


def _hold(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            f"{folder} is being written by another run: wait for its end or name another folder"
        ) from error


def _publish(complete: Path, folder: Path) -> None:
    """Put a synced folder in the place of `folder`."""
    writing, previous = _writing(folder), _previous(folder)
    if folder.exists():
        folder.rename(previous)
    complete.rename(folder)
    _sync(folder.parent)
    _discard(previous, writing)


def _writing(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.writing")


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _clear_leftovers(folder: Path) -> None:
    writing, previous = _writing(folder), _previous(folder)
    if writing.exists():
        shutil.rmtree(writing)
    if previous.exists() and not folder.exists():
        previous.rename(folder)
    _discard(previous, writing)


def _discard(previous: Path, writing: Path) -> None:
    """Remove `previous` under the name that is never read: a half removed one must not count."""
    if previous.exists():
        previous.rename(writing)
        shutil.rmtree(writing)


def _sync_tree(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent, name))
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
