"""Texts and conversations as documents of token ids."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openk2.chat import PromptPiece, Tokenizer, encode_piece, render
from openk2.data.call_roles import argument_roles, name_roles
from openk2.data.packing import Document
from openk2.data.reason_text import reason_length
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

    learn_all: learn every turn but messages of weight 0, as pre-training on conversations as text
    does.
    """
    for conversation in conversations:
        pieces = render(
            conversation["messages"], conversation.get("tools"), generation_prompt=False
        )
        names = {tool["function"]["name"] for tool in conversation.get("tools") or ()}
        ids: list[int] = []
        roles: list[NDArray[np.uint8]] = []
        for before, piece in zip([NO_PIECE, *pieces], pieces, strict=False):
            new = encode_piece(tokenizer, piece)
            ids += new
            learned = piece.learned or (learn_all and not piece.left_out)
            found = piece_roles(before, piece, new, tokenizer, names)
            roles.append(found * np.uint8(learned))
        yield Document(ids, np.concatenate(roles))


def piece_roles(
    before: PromptPiece,
    piece: PromptPiece,
    ids: Sequence[int],
    tokenizer: Tokenizer,
    names: Container[str] = (),
) -> NDArray[np.uint8]:
    """uint8, the role that each of the piece's ids has where it is learned; never NOT_LEARNED.

    before: the piece before it, which tells whether this one is part of a call. names: of the
    declared tools, whose reasons count as names. So does what decides between a call, another one
    and none: the markup that the assistant writes, and the first token after a reason.
    """
    roles = np.full(len(ids), Role.STRUCTURE, np.uint8)
    if piece.control:
        return roles + np.uint8(piece.learned) * np.uint8(Role.NAME - Role.STRUCTURE)
    parts = [tokenizer.tokens[token_id] for token_id in ids]
    if before.control and before.text in _IN_CALLS:
        return _IN_CALLS[before.text](parts)
    reasons = piece.text[: reason_length(piece.text, names)] if piece.learned else ""
    starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
    within = int(np.count_nonzero(starts < len(reasons.encode())))
    roles[: within + 1 if within else 0] = Role.NAME
    return roles
