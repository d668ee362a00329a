"""Where a checkpoint is written: refused if that would destroy something or has no room."""

import re
import shutil
from pathlib import Path

from openk2.architecture import LICENCE
from openk2.checkpoint.error import CheckpointError

ROOM = 64 << 20  # bytes for config, index, tokenizer and the file system's own
WEIGHTS = re.compile(r"[\w-][\w.-]*\.safetensors|model\.safetensors\.index\.json")
# What lies beside weights and belongs to the text network.
BESIDE = re.compile(
    r"((generation|tokenizer)_)?config\.json|configuration\.json|tokenizer\.json|special_tokens_map\.json"
    r"|added_tokens\.json|vocab\.(json|txt)|merges\.txt|chat_template\.(json|jinja)"
    r"|[\w-][\w.-]*\.(model|tiktoken)|README\.md|" + LICENCE.pattern
)


def refuse_other_content(folder: Path) -> None:
    """Raise CheckpointError if `folder` is a file, or holds what is no file of a checkpoint: it
    would be lost."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is a file: give the path of a folder to write")
    found = sorted(folder.iterdir())
    if folder / "config.json" in found:
        found = [path for path in found if not belongs(path)]
    if found:
        raise CheckpointError(
            f"{folder} holds {found[0].name!r}, which writing a checkpoint here would remove: "
            "name a new folder"
        )


def licences_of(folder: Path) -> dict[str, bytes]:
    """What a checkpoint's folder has of licences and notices, by file name."""
    found = sorted(folder.iterdir())
    files = [file for file in found if LICENCE.fullmatch(file.name) and file.is_file()]
    return {file.name: file.read_bytes() for file in files}


def belongs(path: Path) -> bool:
    """Whether this is a file, and by its name a checkpoint's."""
    named = WEIGHTS.fullmatch(path.name) or BESIDE.fullmatch(path.name)
    return named is not None and path.is_file()


def refuse_source(target: Path, source: Path) -> None:
    """Raise CheckpointError if writing `target` would replace `source` or a file that `belongs`.

    target: a folder or a file. source: a checkpoint's folder; its files may be links.
    """
    written = target.resolve()
    for path in (source, *filter(belongs, sorted(source.iterdir()))):
        if written in (path.resolve(), *path.resolve().parents):
            raise CheckpointError(f"{target} is the source itself or holds it: name another place")


def refuse_full_disk(
    target: Path, needed: int, source: Path | None = None, absent: int = 0
) -> None:
    """Raise CheckpointError if the disk that will hold `target` has less than `needed` bytes and
    `ROOM`.

    absent: bytes that are downloaded into the folder `source` first, and count if it is on the same
    disk.
    """
    place = next(each for each in (target, *target.absolute().parents) if each.exists())
    free, also = shutil.disk_usage(place).free, ""
    needed += ROOM
    if absent and source is not None and source.stat().st_dev == place.stat().st_dev:
        needed += absent
        also = f" with the {absent:,} of the source that are downloaded to the same disk"
    if needed > free:
        raise CheckpointError(
            f"{place} has {free:,} bytes free, {target.name} needs {needed:,}{also}: make room or "
            "write to another disk"
        )
