"""Which ids end an output: the tokenizer's and those that the checkpoint's files name."""

import json
from pathlib import Path
from typing import Any

from openk2.chat import Tokenizer
from openk2.pretrained.error import LocalModelError


def read_stop_ids(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """[EOS], <|im_end|> and `eos_token_id` of config.json and generation_config.json.

    Published checkpoints differ in which of them they name, and where. Raises LocalModelError.
    """
    files = (folder / "config.json", folder / "generation_config.json")
    named = (eos_ids(file) for file in files if file.is_file())
    return tokenizer.stop_ids.union(*named)


def eos_ids(file: Path) -> frozenset[int]:
    """`eos_token_id` of a JSON file: an id, a list of ids, or absent or null for none."""
    try:
        data: Any = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LocalModelError(f"{file} is not valid JSON: {error}") from error
    value = data.get("eos_token_id") if isinstance(data, dict) else data
    inner = data.get("text_config") if isinstance(data, dict) else None
    if value is None and isinstance(inner, dict):
        value = inner.get("eos_token_id")
    ids = [] if value is None else value if isinstance(value, list) else [value]
    if not isinstance(data, dict) or not all(type(i) is int and i >= 0 for i in ids):
        raise LocalModelError(
            f"{file}: eos_token_id is {value!r}: it must be an id or a list of ids"
        )
    return frozenset(ids)
