"""Byte-level BPE for the `tokenizers` library, with K2's pre-tokenization.

That library is imported inside functions, because serving never needs it: extra `train`.
"""

from typing import TYPE_CHECKING

from openk2.chat.tokenizer import PATTERN, TokenizerError

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer


def require_tokenizers() -> None:
    """Raise TokenizerError if the `tokenizers` library is not installed."""
    try:
        import tokenizers  # noqa: F401
    except ImportError as error:
        raise TokenizerError(
            "vocabularies are trained and exported with the tokenizers library: "
            "pip install 'openk2[train]'"
        ) from error


def byte_characters() -> dict[str, int]:
    """The printable character that byte-level BPE files use for each byte (GPT-2's table).

    Printable Latin-1 characters are themselves; other bytes use the characters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + i): byte for i, byte in enumerate(others)}


def byte_level_splitter() -> "PreTokenizer":
    """K2's pattern followed by byte-level characters, for the `tokenizers` library."""
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
