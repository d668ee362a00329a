"""Trains a small vocabulary in K2's format.

Byte-level BPE with K2's pre-tokenization pattern, so that a small vocabulary splits text where the
published one does. The result is a `Tokenizer` like a loaded one.
"""

from collections.abc import Iterable

from openk2.chat.byte_level import byte_characters, byte_level_splitter
from openk2.chat.tokenizer import SPECIAL_COUNT, Tokenizer


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer; the same texts give the same tokenizer.

    vocab_size: the number of all ids: 256 single bytes, the learned merges and 256 specials.
    Raises ValueError if vocab_size has no room for bytes and specials, or if the texts have too few
    repeated pairs to fill it.
    """
    ranks = vocab_size - SPECIAL_COUNT
    if ranks < 256:
        raise ValueError(f"vocab_size is {vocab_size}: it must be at least {256 + SPECIAL_COUNT}")

    # Imported here because serving never trains a vocabulary.
    from tokenizers import Tokenizer as FastTokenizer
    from tokenizers import models, trainers

    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = byte_level_splitter()
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
        raise ValueError(
            f"vocab_size is {vocab_size} but these texts fill only {reachable}: "
            "give more text or a smaller vocab_size"
        )
    to_byte = byte_characters()
    return Tokenizer(
        [
            bytes(to_byte[character] for character in token)
            for token in sorted(vocabulary, key=vocabulary.__getitem__)
        ]
    )
