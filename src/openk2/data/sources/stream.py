"""Files as streams of bytes, decompressed by the ending of their name."""

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from openk2.record import DataError

BLOCK = 2**20


@contextmanager
def open_stream(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed if its name ends in .xz, .gz or .zst.

    Raises DataError for a file that is absent, cut short or damaged, also while it is read.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist: name a file")
    try:
        with _opened(path) as stream:
            yield stream
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} cannot be read to its end: {error}; copy it again") from error


def skip(stream: IO[bytes], count: int) -> None:
    """Pass over `count` bytes; what is compressed has to be decompressed up to there."""
    if stream.seekable():
        stream.seek(count)
        return
    while count > 0:
        passed = len(stream.read(min(count, BLOCK)))
        if not passed:
            raise EOFError(f"it ends {count} bytes too early")
        count -= passed


def _opened(path: Path) -> IO[bytes]:
    match path.suffix:
        case ".xz":
            return cast(IO[bytes], lzma.open(path))
        case ".gz":
            return cast(IO[bytes], gzip.open(path))
        case ".zst":
            try:
                import pyarrow
            except ImportError as error:
                raise DataError(
                    f"{path} is zstd-compressed, which needs pyarrow: pip install 'openk2[data]'"
                ) from error
            return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
        case _:
            return path.open("rb")
