"""Trains a small vocabulary in K2's format.

Byte-level BPE with K2's pre-tokenization pattern, so that a small vocabulary splits text where the
published one does. The result is a `Tokenizer` like a loaded one.

K2's pattern keeps one character before a word with it, so ` Zurich` in a request and `"Zurich` in
a call become different ids unless the vocabulary is large enough to have learned both, and a small
model copies ids, not letters. So merges are learned with words split from everything else: a word
has the same ids whatever ASCII character precedes it. Encoding needs no such split, because what
was never learned cannot be merged.
"""

from collections.abc import Iterable

from openk2.chat.byte_level import byte_characters, byte_level_splitter, require_tokenizers
from openk2.chat.tokenizer import SPECIAL_COUNT, Tokenizer, TokenizerError

# Words (letters with their marks), other ASCII, and the rest. ASCII is separate because characters
# of several bytes are merged byte by byte: a token of a space and the first byte of a dash would
# also take the first byte of a letter.
WORDS_APART = r"[\p{L}\p{M}]+|[\x00-\x7F&&[^\p{L}]]+|[^\x00-\x7F\p{L}\p{M}]+"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer; the same texts give the same tokenizer.

    vocab_size: the number of all ids: 256 single bytes, the learned merges and 256 specials.
    Raises TokenizerError if vocab_size has no room for bytes and specials, if the texts have too
    few repeated pairs to fill it, or without the `tokenizers` library.
    """
    ranks = vocab_size - SPECIAL_COUNT
    if ranks < 256:
        raise TokenizerError(
            f"vocab_size is {vocab_size}: it must be at least {256 + SPECIAL_COUNT}"
        )

    require_tokenizers()
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as FastTokenizer

    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS_APART), behavior="isolated"), byte_level_splitter()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=ranks,
        initial_alphabet=sorted(byte_characters()),
        special_tokens=[],
        show_progress=False,
    )
    fast.train_from_iterator(texts, trainer)
    vocabulary = fast.get_vocab()
    if len(vocabulary) < ranks:
        reachable = len(vocabulary) + SPECIAL_COUNT
        raise TokenizerError(
            f"vocab_size is {vocab_size} but these texts fill only {reachable}: "
            f"give more text or --vocab-size {reachable}"
        )
    to_byte = byte_characters()
    return Tokenizer(
        [
            bytes(to_byte[character] for character in token)
            for token in sorted(vocabulary, key=vocabulary.__getitem__)
        ]
    )
