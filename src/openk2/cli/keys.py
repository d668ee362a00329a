"""The keys of `openk2 serve`: those that clients send, and the one that signs thoughts."""

from collections.abc import Sequence
from pathlib import Path

import typer


def checked_keys(keys: Sequence[str], option: str = "--api-key") -> Sequence[str]:
    """The keys. One that no client can send is a usage error, which does not show it."""
    for number, key in enumerate(keys, 1):
        if not key or not key.isascii() or not key.isprintable() or key != key.strip():
            message = f"key {number} is empty, or has characters that no header can carry"
            raise typer.BadParameter(message, param_hint=option)
    return keys


def keys_of_file(file: Path | None) -> Sequence[str]:
    """The keys in a file, one a line; none without a file. A bad file is a usage error."""
    if file is None:
        return ()
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise typer.BadParameter(message, param_hint="--api-key-file") from error
    keys = [line for line in lines if line.strip()]
    if not keys:
        raise typer.BadParameter(f"{file} holds no key", param_hint="--api-key-file")
    return checked_keys(keys, "--api-key-file")


def key_to_sign(file: Path | None) -> bytes | None:
    """The file's bytes, without white space around them; None without a file. A file that is bad or
    too short is a usage error."""
    if file is None:
        return None
    from openk2.server import MIN_KEY_BYTES

    try:
        key = file.read_bytes().strip()
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror or error}"
        raise typer.BadParameter(message, param_hint="--thinking-key-file") from error
    if len(key) < MIN_KEY_BYTES:
        message = f"{file} has {len(key)} bytes: a key needs {MIN_KEY_BYTES} or more"
        raise typer.BadParameter(message, param_hint="--thinking-key-file")
    return key
