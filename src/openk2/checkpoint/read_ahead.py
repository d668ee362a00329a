"""`ReadAhead`: the disk reads what follows in a shard while what came before is used."""

import os
from pathlib import Path
from types import TracebackType

WINDOW = 64 << 20  # bytes asked for ahead of what was read
PIECE = 1 << 20  # of one call; the system cuts off what is beyond its own limit


class ReadAhead:
    """Asks the system for what follows; it keeps it in its page cache, and nothing waits for it.

    Tensors of one dtype follow each other in a shard, and are read in that order, so there is a
    place for each dtype. Without `posix_fadvise` it does nothing.
    """

    def __init__(self) -> None:
        self._files: dict[Path, int] = {}
        self._asked: dict[tuple[Path, str], int] = {}

    def after(self, file: Path, dtype: str, place: int) -> None:
        """Bytes of a shard up to `place` were read, of tensors of this dtype."""
        if not hasattr(os, "posix_fadvise"):
            return
        if file not in self._files:
            self._files[file] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        asked = self._asked.get((file, dtype), 0)
        begin = asked if place <= asked <= place + WINDOW else place
        end = place + WINDOW
        if end - begin < WINDOW // 4:  # many short tensors: a few calls for all of them
            return
        for piece in range(begin, end, PIECE):
            os.posix_fadvise(self._files[file], piece, PIECE, os.POSIX_FADV_WILLNEED)
        self._asked[file, dtype] = end

    def __enter__(self) -> "ReadAhead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
