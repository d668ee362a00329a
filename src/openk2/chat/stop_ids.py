"""Which ids end an output: the tokenizer's and those that the checkpoint's files name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openk2.chat.json_tokenizer import read_object
from openk2.chat.tokenizer import Tokenizer, TokenizerError

GENERATION_FILE = "generation_config.json"


def read_stop_ids(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """[EOS], <|im_end|> and `eos_token_id` of config.json and generation_config.json.

    Published checkpoints differ in which of them they name, and where. Raises TokenizerError.
    """
    files = (folder / "config.json", folder / GENERATION_FILE)
    return tokenizer.stop_ids.union(*(eos_ids(file) for file in files))


def eos_ids(file: Path) -> frozenset[int]:
    """`eos_token_id` of a JSON file: an id, a list of ids, or absent or null for none."""
    data = read_object(file)
    value, inner = data.get("eos_token_id"), data.get("text_config")
    if value is None and isinstance(inner, Mapping):
        value = inner.get("eos_token_id")
    ids: list[Any] = [] if value is None else value if isinstance(value, list) else [value]
    if not all(type(i) is int and i >= 0 for i in ids):
        raise TokenizerError(
            f"{file}: eos_token_id is {value!r}: it must be an id or a list of ids"
        )
    return frozenset(ids)
