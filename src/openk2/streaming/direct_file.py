"""Reading aligned ranges of files: past the page cache (O_DIRECT), through it, or mapped."""

import mmap
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from enum import StrEnum
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from openk2.checkpoint import CheckpointError
from openk2.streaming.ranges import ALIGNMENT, FileRange

# Read by one call; between two, a guess that has turned out wrong is given up.
PIECE_BYTES = 4 << 20
PIECES_AHEAD = 6  # of one range under way
PIECE_THREADS = 16  # of all ranges


class AbandonedError(Exception):
    """A read that nobody wants any more was given up."""


class FileReads(StrEnum):
    """direct: O_DIRECT where the file system has it. cached: through the page cache. mapped: the
    plain twin that others use, a mapping whose pages come one fault at a time."""

    direct = "direct"
    cached = "cached"
    mapped = "mapped"


class ShardFiles:
    """Open shards, read by any number of threads. tell: gets one line if O_DIRECT is not there."""

    def __init__(self, how: FileReads, tell: Callable[[str], None] = lambda line: None) -> None:
        self.how, self._tell = how, tell
        self._open: dict[Path, int] = {}
        self._maps: dict[Path, mmap.mmap] = {}
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(PIECE_THREADS, "openk2-pieces")

    def read(
        self, wanted: FileRange, buffer: Tensor, proceed: Callable[[int], bool] = lambda size: True
    ) -> Tensor:
        """The range's bytes, uint8 [bytes there are]: in `buffer` uint8, aligned, or of a mapping.

        The last block may be cut by the file's end. proceed: asked before each piece, with its
        bytes; if it says no, AbandonedError is raised. Raises CheckpointError for a file that ends
        inside a tensor, or that the disk cannot read.
        """
        try:
            if self.how is FileReads.mapped:
                proceed(wanted.bytes)
                found = self._mapped(wanted)
            else:
                rest = buffer.numpy().data[: wanted.bytes]
                count = self._fill(wanted, rest, proceed)
                found = buffer[:count]
        except OSError as error:
            raise CheckpointError(
                f"{wanted.file}: {error.strerror or error} at bytes {wanted.begin:,} to "
                f"{wanted.end:,}: check the disk"
            ) from error
        if not wanted.tensors:
            return found
        last = max(wanted.tensors, key=lambda each: each.begin)
        if wanted.begin + len(found) < last.begin + last.spec.bytes:
            raise CheckpointError(f"{wanted.file} ends inside {last.spec.name}: copy it again")
        return found

    def close(self) -> None:
        """Close all files; no read may be under way."""
        with self._lock:
            for descriptor in self._open.values():
                os.close(descriptor)
            self._open.clear()
            self._pool.shutdown()
            self._maps.clear()

    def _fill(self, wanted: FileRange, rest: memoryview, proceed: Callable[[int], bool]) -> int:
        """Read until the range or the file ends, several pieces at a time; bytes read."""
        descriptor, done = self._descriptor(wanted.file), 0
        waiting: deque[Future[int]] = deque()
        try:
            for at in range(0, len(rest), PIECE_BYTES):
                piece = rest[at : at + PIECE_BYTES]
                if not proceed(len(piece)):
                    raise AbandonedError
                waiting.append(self._pool.submit(read_piece, descriptor, piece, wanted.begin + at))
                if len(waiting) >= PIECES_AHEAD:
                    done += waiting.popleft().result()
            return done + sum(future.result() for future in waiting)
        finally:
            wait(waiting)  # the buffer is the caller's again

    def _descriptor(self, file: Path) -> int:
        with self._lock:
            if file not in self._open:
                self._open[file] = self._opened(file)
            return self._open[file]

    def _opened(self, file: Path) -> int:
        direct = getattr(os, "O_DIRECT", None)
        if self.how is FileReads.direct and direct is not None:
            descriptor = -1
            try:
                descriptor = os.open(file, os.O_RDONLY | direct)
                with mmap.mmap(-1, ALIGNMENT) as probe:
                    os.preadv(descriptor, [probe], 0)
                return descriptor
            except OSError:  # tmpfs and some network file systems refuse to open or to read
                if descriptor >= 0:
                    os.close(descriptor)
        if self.how is FileReads.direct:
            self.how = FileReads.cached
            self._tell(f"{file.parent} has no O_DIRECT: experts are read through the page cache")
        return os.open(file, os.O_RDONLY)

    def _mapped(self, wanted: FileRange) -> Tensor:
        with self._lock:
            if wanted.file not in self._maps:
                with wanted.file.open("rb") as stream:
                    self._maps[wanted.file] = mmap.mmap(
                        stream.fileno(),
                        0,
                        access=mmap.ACCESS_COPY,  # torch wants a writable one
                    )
            pages = self._maps[wanted.file]
        # Pages past the end of a file that was cut since would kill the process, not raise.
        there = min(len(pages), wanted.file.stat().st_size)
        whole = torch.frombuffer(pages, dtype=torch.uint8)
        return whole[wanted.begin : min(wanted.end, there)]


def read_piece(descriptor: int, piece: memoryview, begin: int) -> int:
    """Fill `piece` from byte `begin` of a file, or up to the file's end; bytes read."""
    done = 0
    while done < len(piece):
        count = os.preadv(descriptor, [piece[done:]], begin + done)
        done += count
        if count % ALIGNMENT or not count:  # the file's end: the next read would not be aligned
            break
    return done
