"""Does a model that says why before it calls choose among the declared tools?

    python benchmarks/choosing_said.py CHECKPOINT CONVERSATIONS.jsonl [--conversations 60]

The reasons of `openk2 data pack --say-why 1` are written into each conversation, and one pass reads
it: how often is the likeliest of all tokens the next one, and with what loss, by what the token is.
`word` is the first of a reason, `words` the rest of what is quoted, `name` the first token of a
name, `given` the required arguments with the beginnings of their values, `missing` the question
marks of those that nobody has said. Guessing is one of the declared tools. Conversations have two
tools and more.
"""

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openk2.chat import Tokenizer, encode_piece, render
from openk2.checkpoint import load_model
from openk2.data import with_reasons
from openk2.data.reason_text import REASON, reason_length

IN_CALLS = {
    "<|tool_call_begin|>": "in the call",
    "<|tool_call_argument_begin|>": "arguments",
}
KINDS = ("word", "words", "name", "name, rest", "given", "missing", "mark", "in the call",
         "arguments", "text")  # fmt: skip


def kinds_of_reason(tokenizer: Tokenizer, ids: list[int], names: Container[str]) -> Iterator[str]:
    """What each token of reasons is: of "words: `name`(key=value, other=?); `another`"."""
    tokens = [tokenizer.decode([token_id]) for token_id in ids]
    text = "".join(tokens)
    reasons = reason_length(text, names)
    kinds = ["mark"] * reasons + ["text"] * (len(text) - reasons)
    groups = {"words": "word", "name": "name", "bare": "name", "given": "given"}
    for part in REASON.finditer(text, 0, reasons):
        for group, kind in groups.items():
            start, end = part.span(group)
            kinds[start:end] = [kind] * (end - start)
        start, end = part.span("given")
        for place in (i for i in range(start, end) if text[i] == "?"):
            kinds[place] = "missing"
    before, at = "", 0
    for token in tokens:
        found = kinds[at : at + len(token)]
        at += len(token)
        kind = "missing" if "missing" in found else (found or ["mark"])[0]
        rest = {"word": "words", "name": "name, rest"}
        yield rest.get(kind, kind) if kind == before else kind
        before = kind


def encoded(tokenizer: Tokenizer, conversation: Mapping[str, Any]) -> tuple[list[int], list[str]]:
    """A conversation's ids, and what each is; "" for what the assistant does not write."""
    names = {tool["function"]["name"] for tool in conversation["tools"] or ()}
    ids: list[int] = []
    kinds: list[str] = []
    pieces = render(conversation["messages"], conversation["tools"], generation_prompt=False)
    texts = [piece.text if piece.control else "" for piece in pieces]
    for piece, before in zip(pieces, ["", *texts], strict=False):
        new = encode_piece(tokenizer, piece)
        if not piece.learned:
            kinds += [""] * len(new)
        elif piece.control:
            kinds += [piece.text]
        elif before in IN_CALLS:
            kinds += [IN_CALLS[before]] * len(new)
        elif reason_length(piece.text, names):
            kinds += kinds_of_reason(tokenizer, new, names)
        else:
            kinds += ["text"] * len(new)
        ids += new
    return ids, kinds


def chosen_from(path: Path, tokenizer: Tokenizer, longest: int) -> Iterator[tuple[int, Any]]:
    """Of the conversations with calls and two tools and more: how many tools, ids and kinds."""
    with path.open(encoding="utf-8") as file:
        for conversation in with_reasons(map(json.loads, file), 1.0):
            ids, kinds = encoded(tokenizer, conversation)
            tools = len(conversation["tools"] or ())
            if tools > 1 and "word" in kinds and len(ids) <= longest:
                yield tools, (ids, kinds)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("conversations", type=Path)
    parser.add_argument("--conversations", type=int, default=60, dest="count")
    parser.add_argument("--longest", type=int, default=1024)
    arguments = parser.parse_args()
    model = load_model(arguments.checkpoint, dtype=torch.float32)
    tokenizer = Tokenizer.load(arguments.checkpoint)
    found: dict[str, list[tuple[bool, float, int]]] = defaultdict(list)
    read = chosen_from(arguments.conversations, tokenizer, arguments.longest)
    for tools, (ids, kinds) in itertools.islice(read, arguments.count):
        with torch.no_grad():
            scores: Tensor = model.lm_head(model(torch.tensor([ids])))[0].log_softmax(-1)
        for before, kind, token in zip(scores, kinds[1:], ids[1:], strict=False):
            if kind:
                right = int(before.argmax()) == token
                found[kind].append((right, -float(before[token]), tools))
    print("| what | tokens | likeliest | loss | guessing |\n|---|---|---|---|---|")
    for kind in sorted(found, key=lambda kind: KINDS.index(kind) if kind in KINDS else len(KINDS)):
        rights, losses, tools = zip(*found[kind], strict=True)
        count = len(rights)
        guessing = f"{sum(1 / n for n in tools) / count:.2f}" if kind in ("word", "name") else ""
        print(f"| {kind} | {count} | {sum(rights) / count:.2f} | {sum(losses) / count:.2f} "
              f"| {guessing} |")  # fmt: skip


if __name__ == "__main__":
    main()
