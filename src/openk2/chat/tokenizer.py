"""K2's tokenizer: byte-pair encoding in tiktoken's file format plus 256 special ids.

A vocabulary of R ranks (the published one has 163,584) is followed by the 256 special tokens at
R + offset, with K2's names and offsets, so a small vocabulary has the same format. `encode` reads
ordinary text only: no text becomes a special token. `rendering` makes markup from `special` ids.
`encode_markup` is for prompts that their writer rendered as text.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import tiktoken

TOKENIZER_FILE = "tiktoken.model"
SPECIAL_COUNT = 256
PUBLISHED_RANKS = 163_584

# Pre-tokenization: K2's alternatives, first match wins.
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_CLITIC = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = "|".join(
    [
        r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CLITIC}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CLITIC}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)

NAMED_SPECIALS: Mapping[int, str] = {
    0: "[BOS]",
    1: "[EOS]",
    2: "<|im_end|>",
    3: "<|im_user|>",
    4: "<|im_assistant|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    9: "[EOT]",
    10: "<|im_system|>",
    11: "<|tool_calls_section_begin|>",
    12: "<|tool_calls_section_end|>",
    13: "<|tool_call_begin|>",
    14: "<|tool_call_argument_begin|>",
    15: "<|tool_call_end|>",
    17: "<|im_middle|>",
    254: "[UNK]",
    255: "[PAD]",
}
# K2-Thinking's tokenizer names two more; in other tokenizers they are reserved.
THINK_SPECIALS: Mapping[int, str] = {22: "<think>", 23: "</think>"}

# What the names of specials look like. None can begin inside another, and the search costs the same
# for any text: one for 256 names takes 20 s for a megabyte of `<`, holding the interpreter's lock.
_LIKE_A_SPECIAL = re.compile(r"<\|[a-z0-9_]{1,40}\|>|\[[A-Z]{1,40}\]|</?think>")

# Where the published tokenizer splits its input; other splits would give other ids.
MAX_ENCODE_CHARACTERS = 400_000
MAX_RUN_CHARACTERS = 25_000
# A run is matched from its start only: matching from each of its characters would be quadratic, and
# a few long runs in a prompt would hold the interpreter's lock for minutes.
_LONG = f"{{{MAX_RUN_CHARACTERS + 1},}}"
_LONG_RUN = re.compile(rf"(?<!\s)\s{_LONG}|(?<!\S)\S{_LONG}")


class TokenizerError(ValueError):
    """An unusable vocabulary; the message names the file, the place and the remedy."""


class Tokenizer:
    """Text to ids and back, for one vocabulary.

    tokens: the bytes of every rank, in order, including each of the 256 single bytes.
    specials: name -> id of the 256 specials.
    thinking: whether `<think>` and `</think>` are among them, as in K2-Thinking.
    names: what a checkpoint calls specials, by offset, where it says so.
    silent_ids: specials that are no part of a plain answer's text.
    longest_token: bytes of the longest one.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        *,
        thinking: bool = False,
        names: Mapping[int, str] | None = None,
    ) -> None:
        ranks = {token: rank for rank, token in enumerate(tokens)}
        if len(ranks) != len(tokens):
            raise TokenizerError(f"{len(tokens) - len(ranks)} tokens occur twice: keep each once")
        if b"" in ranks:
            raise TokenizerError(f"rank {ranks[b'']} is an empty token: remove it")
        missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
        if missing:
            raise TokenizerError(
                f"byte {missing[0]:#04x} has no token ({len(missing)} of 256 missing): "
                "every single byte needs one"
            )
        first = len(tokens)
        called = special_names(first, thinking=thinking, given=names)
        self.tokens: tuple[bytes, ...] = tuple(tokens)
        self.specials: Mapping[str, int] = {name: first + i for i, name in enumerate(called)}
        self.stop_ids: frozenset[int] = frozenset(
            self.specials[name] for name in ("[EOS]", "<|im_end|>")
        )
        # Specials that an answer shows as text are not silent.
        shown = {self.specials.get(name) for name in THINK_SPECIALS.values()}
        self.silent_ids = frozenset(self.specials.values()) - shown
        self._bytes = [*self.tokens, *(name.encode() for name in called)]
        self.longest_token = max(map(len, self._bytes))
        # Without special tokens, which makes `encode` safe for any text.
        self._bpe = tiktoken.Encoding(
            "kimi-k2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={}
        )

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        thinking: bool = False,
        names: Mapping[int, str] | None = None,
    ) -> "Tokenizer":
        """Read `tiktoken.model`. path: the file, or its folder.

        Raises TokenizerError if the file is missing or damaged.
        """
        path = Path(path)
        file = path / TOKENIZER_FILE if path.is_dir() else path
        if not file.is_file():
            raise TokenizerError(f"{file} does not exist: give a folder with a {TOKENIZER_FILE}")
        try:
            return cls(_read_tokens(file.read_bytes()), thinking=thinking, names=names)
        except TokenizerError as error:
            raise TokenizerError(f"{file} is damaged: {error}") from error

    def save(self, folder: str | Path) -> Path:
        """Write `tiktoken.model` into the folder, created if missing; returns the file's path."""
        file = Path(folder) / TOKENIZER_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self._content())
        return file

    def digest(self) -> str:
        """The SHA-256 of the file that `save` writes: equal if ids stand for the same texts."""
        return hashlib.sha256(self._content()).hexdigest()

    def _content(self) -> bytes:
        lines = (base64.b64encode(token) + b" %d\n" % i for i, token in enumerate(self.tokens))
        return b"".join(lines)

    @property
    def vocab_size(self) -> int:
        """How many ids there are: ranks plus the 256 specials."""
        return len(self._bytes)

    def encode(self, text: str) -> list[int]:
        """The ids of ordinary text; the name of a special in it is encoded as ordinary text.

        A lone surrogate, which UTF-8 cannot encode, becomes U+FFFD.
        """
        ids: list[int] = []
        for part in _split_as_published(text):
            ids += self._bpe.encode_ordinary(part)
        return ids

    def encode_markup(self, text: str) -> list[int]:
        """The ids of text in which the names of specials stand for the specials.

        Only for a whole prompt that its writer vouches for: anything in it, including a user's
        text or a tool's result, can act as markup.
        """
        return self.encode_pieces(self.split_markup(text))

    def split_markup(self, text: str) -> list[tuple[str, bool]]:
        """`text` cut where the names of specials are: pieces, and whether each is such a name."""
        pieces: list[tuple[str, bool]] = []
        end = 0
        for found in _LIKE_A_SPECIAL.finditer(text):
            if found[0] in self.specials:
                pieces += [(text[end : found.start()], False), (found[0], True)]
                end = found.end()
        return [*pieces, (text[end:], False)]

    def encode_pieces(self, pieces: Iterable[tuple[str, bool]]) -> list[int]:
        """The ids of names of specials and of ordinary text; neighbouring texts are one text."""
        ids: list[int] = []
        held: list[str] = []
        for text, is_special in pieces:
            if not is_special:
                held.append(text)
                continue
            ids += self.encode("".join(held))
            held.clear()
            ids.append(self.special(text))
        return ids + self.encode("".join(held))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids: specials by name, bytes that are not UTF-8 as U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of the ids, specials by name.

        A character may span tokens, so decode a stream of these bytes incrementally (`codecs`).
        Raises ValueError naming an id outside the vocabulary.
        """
        return b"".join([self._token_bytes(token_id) for token_id in ids])

    def special(self, name: str) -> int:
        """The id of a special by name, such as `<|im_end|>`. Raises KeyError for another name."""
        return self.specials[name]

    def is_special(self, token_id: int) -> bool:
        """Whether the id is one of the 256 specials."""
        return len(self.tokens) <= token_id < self.vocab_size

    def _token_bytes(self, token_id: int) -> bytes:
        if not 0 <= token_id < len(self._bytes):
            raise ValueError(f"token id {token_id} is outside the vocabulary of {self.vocab_size}")
        return self._bytes[token_id]


def special_names(
    ranks: int, *, thinking: bool = False, given: Mapping[int, str] | None = None
) -> list[str]:
    """The names of the specials after `ranks` ordinary tokens, in the order of their ids.

    given: names by offset that win over K2's.
    """
    given = given or {}
    own = {**NAMED_SPECIALS, **(THINK_SPECIALS if thinking else {})}
    taken = set(given.values())
    named = {offset: name for offset, name in own.items() if name not in taken} | dict(given)
    return [named.get(i, f"<|reserved_token_{ranks + i}|>") for i in range(SPECIAL_COUNT)]


def _read_tokens(data: bytes) -> list[bytes]:
    """The tokens of a tiktoken file, which has a line a token: base64 and rank, from 0."""
    by_rank: dict[int, bytes] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line:
            continue
        try:
            encoded, rank_text = line.split()
            rank, token = int(rank_text), base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise TokenizerError(f"line {number} is not 'base64 rank': copy it again") from error
        if rank in by_rank:
            raise TokenizerError(f"line {number} repeats rank {rank}: copy it again")
        by_rank[rank] = token
    for rank in range(len(by_rank)):
        if rank not in by_rank:
            raise TokenizerError(f"rank {rank} of {len(by_rank)} is missing: copy it again")
    return [by_rank[rank] for rank in range(len(by_rank))]


def _split_as_published(text: str) -> Iterator[str]:
    """Split every 400,000 characters, and runs of white space or of other text every 25,000."""
    for start in range(0, len(text), MAX_ENCODE_CHARACTERS):
        block = text[start : start + MAX_ENCODE_CHARACTERS]
        position = 0
        for run in _LONG_RUN.finditer(block):
            for cut in range(run.start() + MAX_RUN_CHARACTERS, run.end(), MAX_RUN_CHARACTERS):
                yield block[position:cut]
                position = cut
        yield block[position:]
