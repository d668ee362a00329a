"""Texts and conversations as documents of token ids."""

from collections.abc import Iterable, Iterator
from typing import Any

from openk2.chat import Tokenizer, encode_chat
from openk2.data.packing import Document


def text_documents(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[Document]:
    """Each text, every token learned, ended by [EOS]."""
    end = tokenizer.special("[EOS]")
    for text in texts:
        ids = [*tokenizer.encode(text), end]
        yield Document(ids, [True] * len(ids))


def chat_documents(
    conversations: Iterable[dict[str, Any]], tokenizer: Tokenizer, *, learn_all: bool = False
) -> Iterator[Document]:
    """Each conversation in K2's format; only what the assistant writes is learned.

    learn_all: learn every turn, as pre-training on conversations as text does.
    """
    for conversation in conversations:
        encoded = encode_chat(
            tokenizer,
            conversation["messages"],
            conversation.get("tools"),
            generation_prompt=False,
        )
        learned = [True] * len(encoded.token_ids) if learn_all else encoded.learned
        yield Document(encoded.token_ids, learned)
