"""Files that workers write."""

from pathlib import Path
from uuid import uuid4

from openk2.record import write_file_atomically


def write_output(path: Path, content: bytes | str, work: Path | None = None) -> None:
    """Write a whole file or none, though another worker may be writing the very same one.

    That happens when a machine that was thought lost still works. Each writes under a name of its
    own, in `work` or else beside `path`; the last to rename wins, with the same bytes.
    """
    own = (work or path.parent) / f"{path.name}.{uuid4().hex}"
    write_file_atomically(own, content)
    own.replace(path)
