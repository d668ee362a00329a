"""Files and folders that are either whole or absent, whenever the machine crashes.

A file is written under a temporary name, synced, and renamed over the old one. A folder cannot be
renamed over another, so replacing one takes two renames, and between them the content has a second
name. Beside `name` there may be, in the same parent:

    name            the complete content, once there is any
    .name.previous  the complete former content, only between the two renames (or after a crash
                    between them); it counts only while `name` is absent
    .name.writing   never complete: being written, being removed, or left over by a crash

Readers ask `settled_folder` where the complete content is and change nothing; the next writer
clears leftovers. One writer a folder at a time: the caller sees to that.
"""

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
    writing, previous = _writing(folder), _previous(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(folder)
    writing.mkdir()
    try:
        yield writing
        _sync_tree(writing)
    except BaseException:
        shutil.rmtree(writing)
        raise
    if folder.exists():
        folder.rename(previous)
    writing.rename(folder)
    _sync(folder.parent)
    _discard(previous, writing)


def settled_folder(folder: Path) -> Path:
    """Where the complete content of `folder` is: `folder`, or its former content after a crash.

    Returns `folder` itself when there is neither, so that the caller's error names what was asked.
    """
    resolved = folder.resolve()
    if not resolved.exists() and _previous(resolved).exists():
        return _previous(resolved)
    return folder


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
