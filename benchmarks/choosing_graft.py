"""Write two heads into a trained model of nano's shape: one that gathers words, one that chooses.

    python benchmarks/choosing_graft.py CHECKPOINT CONVERSATIONS.jsonl OUT [--conversations 80]

To choose a tool by its description, the name's first token must hold the description, which K2
writes before it, and the place of the call must hold the request, which stands before it too. So
one head, layer 1 head 1, adds the words of the last some 30 tokens to the coordinates of the
previous token, everywhere; layer 2 head 0 compares what was gathered, and copies the name. Both
replace heads that the model had.

What cannot be written by hand is fitted by least squares on the activations of some training
conversations: which tokens are words; which positions are calls and which begin a declared name;
the covariance of gathered words, by whose inverse root they are compared, so that words that stand
in every text count little. The model must have the copying start's layout of the residual stream
(src/openk2/model/copying_start.py), and layer 0 must still bring the previous token.
"""

import argparse
import itertools
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from choosing import CALL_ID, Encoded, encoded
from torch import Tensor

from openk2.chat import Tokenizer
from openk2.checkpoint import export_model, load_model
from openk2.model import K2Model
from openk2.model.attention import LatentAttention
from openk2.model.rope import inverse_frequencies

GATHER, MATCH = 1, 2  # layers
T = 127  # coordinates of a token, as the copying start divides 256
TOKEN, PREVIOUS, CONSTANT = slice(0, T), slice(T, 2 * T), 255
WINDOW = 14.0  # tokens: the gathering head's weight falls by e over so many
FAR = 7.0  # nats: what it has fallen by, at most
WORD = 2.5  # nats that a word has over any other token
GATHERED = 6.0  # what is gathered, in embeddings: a mean of words is far smaller than a word
GATE, ALIKE, COPIED = 20.0, 16.0, 15.0  # nats for a name's begin, nats for equal words, embeddings
COMPARED = 120  # directions of gathered words
# Words of every declaration and markup.
MARKUP = {
    "array",
    "assistant",
    "declare",
    "description",
    "enum",
    "function",
    "functions",
    "integer",
    "items",
    "name",
    "number",
    "object",
    "parameters",
    "properties",
    "required",
    "string",
    "system",
    "tool",
    "type",
    "user",
}


@dataclass(frozen=True)
class Seen:
    """Activations of N tokens: inputs [N, 256] of both layers' attention, after the norm.

    ids [N]; calls, names bool [N]: where a call's name begins to be predicted, and where a declared
    name's first token stands.
    """

    gather: Tensor
    match: Tensor
    ids: Tensor
    calls: Tensor
    names: Tensor


class Enough(Exception):
    """Ends a forward pass whose later layers nobody needs."""


def begins_of(tokenizer: Tokenizer, seen: Encoded) -> dict[str, int]:
    """Where each declared name's first token stands, if the declaration has it."""
    found = {}
    for name in seen.names:
        wanted = tokenizer.encode(name)
        for place in range(2, len(seen.ids) - len(wanted)):
            if (
                seen.ids[place : place + len(wanted)] == wanted
                and tokenizer.decode(seen.ids[place - 2 : place]) == 'name":"'
            ):
                found[name] = place
                break
    return found


@torch.no_grad()
def activations(model: K2Model, tokenizer: Tokenizer, rows: Iterable[dict[str, Any]]) -> Seen:
    """What the model computes over whole conversations."""
    inputs: dict[int, list[Tensor]] = {GATHER: [], MATCH: []}

    def hook(attention: LatentAttention, given: tuple[Tensor, ...]) -> None:
        inputs[attention.layer].append(given[0][0])
        if attention.layer == MATCH:
            raise Enough

    handles = [
        model.decoder_layers[layer].self_attn.register_forward_pre_hook(hook) for layer in inputs
    ]
    ids, calls, names = [], [], []
    for row in rows:
        seen = encoded(tokenizer, row)
        with suppress(Enough):
            model(torch.tensor([seen.ids]))
        here = torch.zeros(2, len(seen.ids), dtype=torch.bool)
        here[0, [start + 1 for start, text in seen.calls if CALL_ID.fullmatch(text)]] = True
        here[1, list(begins_of(tokenizer, seen).values())] = True
        ids.append(torch.tensor(seen.ids))
        calls.append(here[0])
        names.append(here[1])
    for handle in handles:
        handle.remove()
    return Seen(*(torch.cat(part) for part in (*inputs.values(), ids, calls, names)))


def direction(x: Tensor, wanted: Tensor, ridge: float) -> Tensor:
    """[256]: x [N, 256] times it tells where `wanted`, bool [N], by weighted least squares.

    Both classes weigh the same times three for the rest.
    """
    weights = torch.where(wanted, (~wanted).sum() / wanted.sum() / 3, torch.tensor(1.0))[:, None]
    goal = wanted.float()[:, None]
    centred = x - (x * weights).sum(0) / weights.sum()
    goal = goal - (goal * weights).sum() / weights.sum()
    square = (centred * weights).T @ centred
    square += ridge * weights.sum() * torch.eye(len(square))
    return torch.linalg.solve(square, (centred * weights).T @ goal)[:, 0]


def recency(model: K2Model, most: int = 1024, ridge: float = 0.3) -> tuple[Tensor, Tensor]:
    """Amplitudes of cos and sin [pairs] of the distance, in nats: -distance / WINDOW down to -FAR.

    Fitted with near distances weighing most; a constant is free.
    """
    distance = np.arange(most)
    turns = np.outer(distance, inverse_frequencies(model.config).double().numpy())
    basis = np.concatenate([np.cos(turns), np.sin(turns), np.ones((most, 1))], axis=1)
    weights = 1 / (1 + distance / 30)[:, None]
    penalty = ridge * np.diag([*[1.0] * (basis.shape[1] - 1), 0.0])
    goal = -np.minimum(distance / WINDOW, FAR)
    fitted = np.linalg.solve(
        basis.T @ (weights * basis) + penalty, basis.T @ (weights[:, 0] * goal)
    )
    cos, sin = torch.tensor(fitted[:-1]).float().chunk(2)
    return cos, sin


def latents(attention: LatentAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """The query's [N, q_lora_rank] and the key's [N, kv_lora_rank] latents of x [N, 256]."""
    rank = attention.config.kv_lora_rank
    query: Tensor = attention.q_a_layernorm(attention.q_a_proj(x))
    key: Tensor = attention.kv_a_layernorm(attention.kv_a_proj_with_mqa(x)[:, :rank])
    return query, key


@torch.no_grad()
def gather(model: K2Model, tokenizer: Tokenizer, seen: Seen) -> None:
    """Layer 1 head 1: the mean of the last words into the coordinates of the previous token."""
    config, attention, x = model.config, model.decoder_layers[GATHER].self_attn, seen.gather
    nope, value, rank = config.qk_nope_head_dim, config.v_head_dim, config.kv_lora_rank
    q_a, q_b = attention.q_a_proj.weight, attention.q_b_proj.weight
    kv_a, kv_b = attention.kv_a_proj_with_mqa.weight, attention.kv_b_proj.weight
    words = {number for number, token in enumerate(tokenizer.tokens)
             if token.isalpha() and token.isascii() and token.decode() not in MARKUP}  # fmt: skip
    is_word = torch.tensor([int(number) in words for number in seen.ids])

    q_a[T] = 0  # the copying head reads T latents, this one the constant
    q_a[T, CONSTANT] = 0.1 * math.sqrt(config.q_lora_rank)
    kv_a[rank:] = 0  # the rotary key, which both heads share, is (1, 0) everywhere
    kv_a[rank::2, CONSTANT] = 1 / x[:, CONSTANT].mean()
    kv_a[rank - 1] = 2 * direction(x, is_word, 1e-3)
    query, key = latents(attention, x)
    constant = query[:, T].mean() * config.softmax_scale

    rows = q_b.unflatten(0, (config.num_attention_heads, -1))
    rows[0, nope:] = 0  # the copying head looks for content
    rows[1] = 0
    cos, sin = recency(model)
    rows[1, nope::2, T], rows[1, nope + 1 :: 2, T] = cos / constant, -sin / constant
    rows[1, 0, T] = 1 / constant
    heads = kv_b.unflatten(0, (config.num_attention_heads, -1))
    heads[1] = 0
    apart = key[is_word, rank - 1].mean() - key[~is_word, rank - 1].mean()
    heads[1, 0, rank - 1] = WORD / apart
    heads[1, nope : nope + T, :T] = torch.eye(T) / key[:, :T].std()
    attention.o_proj.weight[:, value:] = 0
    attention.o_proj.weight[PREVIOUS, value : value + T] = (
        GATHERED * deviation(model) * torch.eye(T)
    )


@torch.no_grad()
def match(model: K2Model, seen: Seen) -> None:
    """Layer 2 head 0: from a call to the name that gathered what the call did, and copy it."""
    config, attention, x = model.config, model.decoder_layers[MATCH].self_attn, seen.match
    nope, value = config.qk_nope_head_dim, config.v_head_dim
    q_a, kv_a = attention.q_a_proj.weight, attention.kv_a_proj_with_mqa.weight
    centred = [
        x[there, PREVIOUS] - x[there, PREVIOUS].mean(0) for there in (seen.calls, seen.names)
    ]
    sizes, axes = torch.linalg.eigh(torch.cov(torch.cat(centred).T))
    root = axes[:, -COMPARED:] / (sizes[-COMPARED:] + 0.3 * sizes.mean()).sqrt()
    root = 0.3 * x.std() / root.norm(dim=0).mean() * root.T
    compared = slice(1, 1 + COMPARED)
    for matrix, there in ((q_a, seen.calls), (kv_a, seen.names)):
        matrix[0] = direction(x, there, 1e-2)
        matrix[compared] = 0
        matrix[compared, PREVIOUS] = root
        matrix[compared, CONSTANT] = -root @ x[there, PREVIOUS].mean(0) / x[there, CONSTANT].mean()
    kv_a[128 : 128 + T] = 0
    kv_a[128 : 128 + T, TOKEN] = 0.3 * torch.eye(T)
    query, key = latents(attention, x)

    each = query[seen.calls, compared].std() * key[seen.names, compared].std()
    size = (ALIKE / (COMPARED * each * config.softmax_scale)).sqrt()
    gate = [part[there, 0].mean() - part[~there, 0].mean()
            for part, there in ((query, seen.calls), (key, seen.names))]  # fmt: skip
    rows = attention.q_b_proj.weight.unflatten(0, (config.num_attention_heads, -1))[0]
    heads = attention.kv_b_proj.weight.unflatten(0, (config.num_attention_heads, -1))[0]
    rows.zero_()
    heads.zero_()
    rows[:COMPARED, compared] = heads[:COMPARED, compared] = size * torch.eye(COMPARED)
    rows[nope - 1, 0] = GATE / (gate[0] * config.softmax_scale)
    heads[nope - 1, 0] = 1 / gate[1]
    heads[nope : nope + T, 128 : 128 + T] = torch.eye(T) / key[:, 128 : 128 + T].std()
    attention.o_proj.weight[:, :value] = 0
    attention.o_proj.weight[TOKEN, :T] = COPIED * deviation(model) * torch.eye(T)


def deviation(model: K2Model) -> Tensor:
    """Std of the embedding's token coordinates."""
    return model.model.embed_tokens.weight[:, TOKEN].std()


def usable(row: dict[str, Any]) -> bool:
    """Whether a conversation has a call and up to five tools."""
    called = any(message.get("tool_calls") for message in row["messages"])
    return called and 2 <= len(row.get("tools") or ()) <= 5


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("conversations", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--conversations-read", type=int, default=80)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.checkpoint, dtype=torch.float32)
    tokenizer = Tokenizer.load(arguments.checkpoint)
    with arguments.conversations.open(encoding="utf-8") as file:
        found = filter(usable, map(json.loads, file))
        rows = list(itertools.islice(found, arguments.conversations_read))
    gather(model, tokenizer, activations(model, tokenizer, rows))
    match(model, activations(model, tokenizer, rows))
    export_model(model, tokenizer, arguments.out)
    print(
        f"{arguments.out}: heads {GATHER}.1 and {MATCH}.0 written, from {len(rows)} conversations"
    )


if __name__ == "__main__":
    main()
