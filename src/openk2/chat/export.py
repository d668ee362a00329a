"""Exports a tokenizer as files that other software reads without our code.

`tokenizer.json` is the same byte-pair encoding for the `tokenizers` library, beside
`tokenizer_config.json`, `chat_template.jinja` and K2's own `tiktoken.model`. That library lacks two
things: K2's splitting of very long input, and the safety of `Tokenizer.encode` (it turns the name
of a special token in any text into that token).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openk2.chat.byte_level import byte_characters, byte_level_splitter, require_tokenizers
from openk2.chat.chat_files import ChatFiles
from openk2.chat.checkpoint_template import TEMPLATE_FILE
from openk2.chat.found_tokenizer import named_tokenizer
from openk2.chat.json_tokenizer import JSON_FILE, SETTINGS_FILE, read_settings
from openk2.chat.tokenizer import TOKENIZER_FILE, Tokenizer, special_names

# Of a published tokenizer_config.json: what names Python code, and what is written elsewhere.
LEFT_OUT = ("auto_map", "chat_template")


def export_tokenizer(
    tokenizer: Tokenizer,
    folder: str | Path,
    *,
    context_length: int,
    files: ChatFiles = ChatFiles(),
) -> None:
    """Write the tokenizer files into the folder, replacing existing ones.

    context_length: how many tokens the model supports, written as `model_max_length`.
    files: whose template and settings are written. Raises TokenizerError without the `tokenizers`
    library.
    """
    folder = Path(folder)
    tokenizer.save(folder)
    (folder / JSON_FILE).write_text(tokenizer_json(tokenizer), "utf-8")
    if files.template is not None:
        (folder / TEMPLATE_FILE).write_text(files.template, "utf-8")
    settings = {**named_specials(tokenizer), **files.settings}
    config = json.dumps(tokenizer_config(context_length, settings), indent=2)
    (folder / SETTINGS_FILE).write_text(config + "\n", "utf-8")


def require_free_of_code(source: Path) -> None:
    """Raise TokenizerError if `free_of_code` will, for a missing library."""
    if "auto_map" in read_settings(source) and (source / TOKENIZER_FILE).is_file():
        require_tokenizers()


def free_of_code(source: Path, folder: Path, *, context_length: int) -> None:
    """Write into `folder` the tokenizer files of a checkpoint, such that no engine needs its code.

    Nothing is written if its tokenizer_config.json names none (`auto_map`). Raises TokenizerError
    for damaged files, and without the `tokenizers` library if they are K2's.
    """
    settings = read_settings(source)
    if "auto_map" not in settings:
        return
    if (source / TOKENIZER_FILE).is_file():
        tokenizer = named_tokenizer(source)
        files = ChatFiles.read(source, tokenizer)
        export_tokenizer(tokenizer, folder, context_length=context_length, files=files)
        return
    del settings["auto_map"]
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def named_specials(tokenizer: Tokenizer) -> dict[str, Any]:
    """`added_tokens_decoder` for specials that K2-Instruct calls otherwise; empty without any."""
    usual = set(special_names(len(tokenizer.tokens)))
    named = {
        str(number): {"content": name, "special": number in tokenizer.silent_ids}
        for name, number in tokenizer.specials.items()
        if name not in usual
    }
    return {"added_tokens_decoder": named} if named else {}


def tokenizer_config(
    context_length: int, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The content of `tokenizer_config.json`. settings: of a published one, kept where they fit."""
    kept = {key: value for key, value in (settings or {}).items() if key not in LEFT_OUT}
    own: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "[BOS]",
        "eos_token": "[EOS]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
    }
    fixed = {key: own[key] for key in ("tokenizer_class", "model_max_length")}
    return {**own, **kept, **fixed}


def tokenizer_json(tokenizer: Tokenizer) -> str:
    """The content of `tokenizer.json`: the same ids for any text without names of specials."""
    require_tokenizers()
    from tokenizers import AddedToken, decoders, models
    from tokenizers import Tokenizer as FastTokenizer

    tokens, merged = byte_level_vocabulary(tokenizer)
    # ignore_merges: like tiktoken, look up a whole word before merging its bytes.
    vocab = {token: rank for rank, token in enumerate(tokens)}
    model = models.BPE(vocab=vocab, merges=merged, ignore_merges=True)
    fast = FastTokenizer(model)
    fast.pre_tokenizer = byte_level_splitter()
    fast.decoder = decoders.ByteLevel()
    specials = sorted(tokenizer.specials, key=tokenizer.specials.__getitem__)
    # What an answer shows as text, such as <think>, is not skipped with the specials.
    silent = tokenizer.silent_ids
    fast.add_tokens(
        [
            AddedToken(name, special=tokenizer.specials[name] in silent, normalized=False)
            for name in specials
        ]
    )
    return str(fast.to_str())


def byte_level_vocabulary(tokenizer: Tokenizer) -> tuple[list[str], list[tuple[str, str]]]:
    """The tokens by rank, without specials, and the merges, best first, as byte-level BPE has them.

    Each byte is spelt as a printable character, see `byte_characters`.
    """
    spelling = {byte: character for character, byte in byte_characters().items()}
    spelt = {token: "".join(spelling[byte] for byte in token) for token in tokenizer.tokens}
    merged = [(spelt[left], spelt[right]) for left, right in merges(tokenizer)]
    return [spelt[token] for token in tokenizer.tokens], merged


def merges(tokenizer: Tokenizer) -> Iterator[tuple[bytes, bytes]]:
    """Every pair of tokens that merges into a token, best first.

    tiktoken merges the neighbours with the lowest rank, so every way to split a token counts, not
    only the one it was learned by.
    """
    ranks = {token: rank for rank, token in enumerate(tokenizer.tokens)}
    for token in tokenizer.tokens:
        splits = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        known = [pair for pair in splits if pair[0] in ranks and pair[1] in ranks]
        yield from sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
