"""The tokenizer of a checkpoint's folder, in either of its two published forms."""

from pathlib import Path

from openk2.chat.json_tokenizer import JSON_FILE, JsonTokenizer, read_settings
from openk2.chat.tokenizer import SPECIAL_COUNT, TOKENIZER_FILE, Tokenizer, TokenizerError


def named_tokenizer(path: Path) -> Tokenizer:
    """A `tiktoken.model`, or that of a folder, with the names of the tokenizer_config.json beside
    it. Raises TokenizerError."""
    tokenizer = Tokenizer.load(path)
    folder = path if path.is_dir() else path.parent
    names = special_names_in(folder, len(tokenizer.tokens))
    return Tokenizer(tokenizer.tokens, names=names) if names else tokenizer


def find_tokenizer(folder: Path, size: int) -> Tokenizer:
    """The folder's `tiktoken.model`, with the names of its tokenizer_config.json, else its
    `tokenizer.json`.

    size: the network's vocab_size. Raises TokenizerError for files that cannot be used, or that
    belong to another network.
    """
    if not (folder / TOKENIZER_FILE).is_file() and (folder / JSON_FILE).is_file():
        return JsonTokenizer.read(folder, size)
    tokenizer = Tokenizer.load(folder, names=special_names_in(folder, size - SPECIAL_COUNT))
    if tokenizer.vocab_size != size:
        raise TokenizerError(
            f"{folder}: {TOKENIZER_FILE} gives {tokenizer.vocab_size} ids, config.json says "
            f"vocab_size {size}: they belong to different models"
        )
    return tokenizer


def special_names_in(folder: Path, first: int) -> dict[int, str]:
    """What the checkpoint calls its specials, by offset from `first`, the number of ranks."""
    named = read_settings(folder).get("added_tokens_decoder")
    if not isinstance(named, dict):
        return {}
    offsets = {
        int(number) - first: token["content"]
        for number, token in named.items()
        if str(number).isdecimal() and isinstance(token, dict) and "content" in token
    }
    return {at: name for at, name in offsets.items() if 0 <= at < SPECIAL_COUNT}
