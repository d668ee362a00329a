"""`JsonTokenizer`: a checkpoint's own `tokenizer.json`, for vocabularies that are not K2's.

Byte-level BPE only, computed by the `tokenizers` library. The file's added tokens, special or not,
are this tokenizer's specials. The library would find their names in any text, so ordinary text is
encoded by a copy that knows none of them: no text becomes a special.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openk2.chat.byte_level import byte_characters, require_tokenizers
from openk2.chat.tokenizer import Tokenizer, TokenizerError

JSON_FILE, SETTINGS_FILE = "tokenizer.json", "tokenizer_config.json"


class JsonTokenizer(Tokenizer):
    """Text to ids and back; see `Tokenizer` for what its methods promise.

    data: the parsed file. settings: tokenizer_config.json. size: ids of the network; those that the
    file does not name are reserved specials. Raises TokenizerError for another kind of vocabulary.
    """

    def __init__(self, data: Mapping[str, Any], settings: Mapping[str, Any], size: int) -> None:
        require_tokenizers()
        from tokenizers import Tokenizer as Library

        require_byte_level(data)
        added = {token["content"]: int(token["id"]) for token in data.get("added_tokens") or ()}
        vocabulary = {t: i for t, i in data["model"]["vocab"].items() if t not in added}
        known = [*added.values(), *vocabulary.values()]
        if max(known) >= size:
            raise TokenizerError(
                f"id {max(known)} is beyond the network's vocab_size {size}: tokenizer and weights "
                "are of different models"
            )
        missing = sorted(set(range(size)) - set(known))
        self.specials = {**added, **{f"<|reserved_token_{i}|>": i for i in missing}}
        self._special_ids = frozenset(self.specials.values())
        # What the file calls special; other added tokens, such as <think>, are text of an answer.
        shown = {t["id"] for t in data.get("added_tokens") or () if not t.get("special")}
        self.silent_ids = self._special_ids - shown
        self._bytes = token_bytes(vocabulary, self.specials, size)
        self.tokens = tuple(self._bytes)
        self.longest_token = max(map(len, self._bytes))
        self._ordinary = Library.from_str(json.dumps(without_added(data, vocabulary)))
        self._marked = Library.from_str(json.dumps(plain(data)))
        self._digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
        self.bos, self.eos = (named_token(settings, n) for n in ("bos_token", "eos_token"))
        self.stop_ids = frozenset({added[self.eos]} if self.eos in added else ())
        starts = settings.get("add_bos_token") and self.bos in added
        self._start = [added[self.bos]] if starts and self.bos is not None else []

    @classmethod
    def read(cls, folder: Path, size: int) -> "JsonTokenizer":
        """The folder's tokenizer. Raises TokenizerError naming the file that cannot be used."""
        file = folder / JSON_FILE
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            return cls(data, read_settings(folder), size)
        except TokenizerError as error:
            raise TokenizerError(f"{file}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TokenizerError(f"{file} is damaged ({error!r}): copy it again") from error

    def encode(self, text: str) -> list[int]:
        """The ids of ordinary text; the name of a special in it is encoded as ordinary text."""
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        ids: list[int] = self._ordinary.encode(whole, add_special_tokens=False).ids
        return ids

    def encode_markup(self, text: str) -> list[int]:
        """See `Tokenizer.encode_markup`; it begins as the checkpoint's prompts do (BOS)."""
        ids = super().encode_markup(text)
        return ids if ids[: len(self._start)] == self._start else self._start + ids

    def split_markup(self, text: str) -> list[tuple[str, bool]]:
        """See `Tokenizer.split_markup`; the library finds the names."""
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        found = self._marked.encode(text, add_special_tokens=False)
        pieces: list[tuple[str, bool]] = []
        end = 0
        for token_id, (begin, after) in zip(found.ids, found.offsets, strict=True):
            name = text[begin:after].strip()
            if token_id in self._special_ids and name in self.specials:
                pieces += [(text[end:begin], False), (name, True)]
                end = after
        return [*pieces, (text[end:], False)]

    def is_special(self, token_id: int) -> bool:
        """Whether the id is an added token's, or no token's."""
        return token_id in self._special_ids

    def digest(self) -> str:
        """The SHA-256 of the file's content."""
        return self._digest

    def save(self, folder: str | Path) -> Path:
        """Raise TokenizerError: it has no tiktoken form."""
        raise TokenizerError(
            f"{folder}: a tokenizer.json cannot be written as tiktoken.model: copy the file instead"
        )


def require_byte_level(data: Mapping[str, Any]) -> None:
    """Raise TokenizerError unless the file describes byte-level BPE."""
    kind = data["model"].get("type", "BPE")
    steps = data.get("pre_tokenizer") or {}
    used = [steps, *steps.get("pretokenizers", ())]
    if kind != "BPE" or not any(step.get("type") == "ByteLevel" for step in used):
        raise TokenizerError(f"it is {kind} without bytes: openk2 reads byte-level BPE only")


def without_added(data: Mapping[str, Any], vocabulary: Mapping[str, int]) -> dict[str, Any]:
    """The file without its added tokens and what would merge into one of them."""
    merges = []
    for merge in data["model"]["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        if all(part in vocabulary for part in (left, right, left + right)):
            merges.append(merge)
    model = {**data["model"], "vocab": dict(vocabulary), "merges": merges}
    return {**plain(data), "added_tokens": [], "model": model}


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """The file without what adds, cuts or pads tokens."""
    return {**data, "post_processor": None, "truncation": None, "padding": None}


def token_bytes(
    vocabulary: Mapping[str, int], specials: Mapping[str, int], size: int
) -> list[bytes]:
    """What each id stands for: bytes, or a special's name."""
    table = byte_characters()
    found = [b""] * size
    for token, number in vocabulary.items():
        spelt = all(character in table for character in token)
        found[number] = bytes(table[c] for c in token) if spelt else token.encode()
    for name, number in specials.items():
        found[number] = name.encode()
    return found


def read_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, empty if there is none. Raises TokenizerError for a damaged one."""
    return read_object(folder / SETTINGS_FILE)


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object, empty if there is no file. Raises TokenizerError for a damaged one."""
    if not file.is_file():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise TokenizerError(f"{file} holds a {type(data).__name__}, not a JSON object")
    return data


def named_token(settings: Mapping[str, Any], name: str) -> str | None:
    """`bos_token` and its like: text, or an object with `content`; None if there is none."""
    value = settings.get(name)
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None
