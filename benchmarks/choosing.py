"""Does a model choose among declared tools, or guess?

    python benchmarks/choosing.py CHECKPOINT CONVERSATIONS.jsonl [--calls 400] [--longest 1536]

One pass over each conversation reads every call of it: where the declared names part, the model
must prefer the called one's token to those of the other names, as greedy decoding held to the
declared tools would. Printed by the number of tools, with what guessing gives; then by the called
tool's place among them. `free` is how often the likeliest of all tokens begins a declared name.
"""

import argparse
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openk2.chat import Tokenizer, encode_piece, render
from openk2.checkpoint import load_model
from openk2.model import K2Model

CALL_ID = re.compile(r"functions\.(.*):(\d+)")


@dataclass(frozen=True)
class Encoded:
    """A conversation's ids. calls: where a call's id begins, and the id."""

    ids: list[int]
    calls: list[tuple[int, str]]
    names: list[str]


@dataclass(frozen=True)
class Choice:
    """A call among `tools` declared ones, the `place`-th of which is right.

    right: whether every token where names part is preferred. probability: of all of them, held to
    the declared names; guessing: the same for a model that knows nothing but the names.
    free: whether the likeliest token begins a declared name.
    """

    tools: int
    place: int
    right: bool
    probability: float
    guessing: float
    free: bool


def encoded(tokenizer: Tokenizer, conversation: dict[str, Any]) -> Encoded:
    """A conversation as the model sees it."""
    tools = conversation.get("tools") or []
    ids: list[int] = []
    calls = []
    begins = False
    for piece in render(conversation["messages"], tools, generation_prompt=False):
        if begins and piece.learned:
            calls.append((len(ids), piece.text))
        ids += encode_piece(tokenizer, piece)
        begins = piece.control and piece.text == "<|tool_call_begin|>"
    return Encoded(ids, calls, [tool["function"]["name"] for tool in tools])


def choice_of(logits: Tensor, tokenizer: Tokenizer, seen: Encoded, call: tuple[int, str]) -> Choice:
    """One call, of logits [T, vocabulary] over the whole conversation."""
    start, text = call
    found = CALL_ID.fullmatch(text)
    assert found
    ids = {name: tokenizer.encode(f"functions.{name}:{found[2]}") for name in seen.names}
    wanted = ids[found[1]]
    right, probability, guessing, free = True, 1.0, 1.0, True
    for number, token in enumerate(wanted):
        open_to = {other[number] for other in ids.values() if other[:number] == wanted[:number]
                   and len(other) > number}  # fmt: skip
        if len(open_to) < 2:
            continue
        allowed = sorted(open_to)
        scores = logits[start + number - 1]
        shares = scores[allowed].softmax(-1)
        if guessing == 1.0:
            free = int(scores.argmax()) in allowed
        right &= allowed[int(shares.argmax())] == token
        probability *= float(shares[allowed.index(token)])
        guessing /= len(allowed)
    place = seen.names.index(found[1])
    return Choice(len(seen.names), place, right, probability, guessing, free)


@torch.no_grad()
def choices_of(
    model: K2Model, tokenizer: Tokenizer, conversations: Iterator[dict[str, Any]], longest: int
) -> Iterator[Choice]:
    """Every call of conversations with two tools and more, of up to `longest` tokens."""
    for conversation in conversations:
        seen = encoded(tokenizer, conversation)
        if seen.calls and len(seen.names) > 1 and len(seen.ids) <= longest:
            logits = model.lm_head(model(torch.tensor([seen.ids])))[0]
            for call in seen.calls:
                yield choice_of(logits, tokenizer, seen, call)


def line(name: str, choices: Sequence[Choice]) -> None:
    """Print one row of the table."""
    of: list[Callable[[Choice], float]] = [
        lambda c: c.right, lambda c: c.probability, lambda c: c.guessing, lambda c: c.free,
    ]  # fmt: skip
    means = (sum(map(each, choices)) / len(choices) for each in of)
    print(f"| {name} | {len(choices)} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("conversations", type=Path)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--longest", type=int, default=1536)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.checkpoint, dtype=torch.float32)
    tokenizer = Tokenizer.load(arguments.checkpoint)
    with arguments.conversations.open(encoding="utf-8") as file:
        found = choices_of(model, tokenizer, map(json.loads, file), arguments.longest)
        choices = list(itertools.islice(found, arguments.calls))
    print("| tools | calls | right | probability | guessing | free |\n|---|---|---|---|---|---|")
    for tools in sorted({choice.tools for choice in choices}):
        line(str(tools), [choice for choice in choices if choice.tools == tools])
    line("all", choices)
    places: dict[str, Callable[[Choice], bool]] = {
        "first": lambda c: c.place == 0,
        "last": lambda c: c.place == c.tools - 1,
        "between": lambda c: 0 < c.place < c.tools - 1,
    }
    for name, there in places.items():
        if part := [choice for choice in choices if there(choice)]:
            line(f"the {name} is right" if name != "between" else "one between is right", part)


if __name__ == "__main__":
    main()
