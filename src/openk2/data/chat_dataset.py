"""Texts and conversations as documents of token ids."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openk2.chat import PromptPiece, Tokenizer, encode_piece, render
from openk2.data.call_roles import argument_roles, name_roles
from openk2.data.packing import Document
from openk2.data.reasons import reason_length
from openk2.data.role import Role

# The markup before a text -> the roles of that text's tokens.
_IN_CALLS: Mapping[str, Callable[[Sequence[bytes]], NDArray[np.uint8]]] = {
    "<|tool_call_begin|>": name_roles,
    "<|tool_call_argument_begin|>": argument_roles,
}
NO_PIECE = PromptPiece("", control=False, learned=False)


def text_documents(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[Document]:
    """Each text, every token learned, ended by [EOS]."""
    end = tokenizer.special("[EOS]")
    for text in texts:
        ids = [*tokenizer.encode(text), end]
        yield Document(ids, [Role.STRUCTURE] * len(ids))


def chat_documents(
    conversations: Iterable[dict[str, Any]], tokenizer: Tokenizer, *, learn_all: bool = False
) -> Iterator[Document]:
    """Each conversation in K2's format; only what the assistant writes is learned.

    learn_all: learn every turn, as pre-training on conversations as text does.
    """
    for conversation in conversations:
        pieces = render(
            conversation["messages"], conversation.get("tools"), generation_prompt=False
        )
        ids: list[int] = []
        roles: list[NDArray[np.uint8]] = []
        for before, piece in zip([NO_PIECE, *pieces], pieces, strict=False):
            new = encode_piece(tokenizer, piece)
            ids += new
            learned = piece.learned or learn_all
            found = piece_roles(before, piece, new, tokenizer)
            roles.append(found * np.uint8(learned))
        yield Document(ids, np.concatenate(roles))


def piece_roles(
    before: PromptPiece, piece: PromptPiece, ids: Sequence[int], tokenizer: Tokenizer
) -> NDArray[np.uint8]:
    """uint8, the role that each of the piece's ids has where it is learned; never NOT_LEARNED.

    before: the piece before it, which tells whether this one is part of a call.
    """
    roles = np.full(len(ids), Role.STRUCTURE, np.uint8)
    if piece.control:
        return roles
    parts = [tokenizer.tokens[token_id] for token_id in ids]
    if before.control and before.text in _IN_CALLS:
        return _IN_CALLS[before.text](parts)
    reasons = piece.text[: reason_length(piece.text)] if piece.learned else ""
    roles[np.cumsum([len(part) for part in parts]) <= len(reasons.encode())] = Role.NAME
    return roles
