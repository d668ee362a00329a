"""The weights of a served network, part by part: from its sizes, or from a checkpoint's headers.

A part is what engines cut or copy alike: one kind of matrix of one layer. Tensor names are the
published ones (docs/design/checkpoint.md).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from openk2.architecture import layer_of, text_name
from openk2.plan.serving.formats import WeightFormat
from openk2.plan.serving.network import ServedNetwork

Kind = Literal[
    "embedding",
    "head",
    "norms",
    "query down",
    "query up",
    "latent down",
    "latent up",
    "output",
    "dense",
    "shared",
    "router",
    "experts",
    "other",
]
# What tensor parallelism cuts; every rank holds the rest whole, routed experts apart.
CUT: frozenset[Kind] = frozenset(
    ("embedding", "head", "query up", "latent up", "output", "dense", "shared")
)
PLAIN: frozenset[Kind] = frozenset(("embedding", "head", "norms", "router"))  # never quantized
NORMS = ("input_layernorm", "post_attention_layernorm", "q_a_layernorm", "kv_a_layernorm", "norm")
# What the last module of a tensor's name says; experts are known by the modules around it.
MODULES: dict[str, Kind] = {
    **dict.fromkeys(NORMS, "norms"),
    "embed_tokens": "embedding",
    "lm_head": "head",
    "q_a_proj": "query down",
    "q_b_proj": "query up",
    "q_proj": "query up",
    "kv_a_proj_with_mqa": "latent down",
    "kv_b_proj": "latent up",
    "o_proj": "output",
    "gate": "router",
    "gate_proj": "dense",
    "up_proj": "dense",
    "down_proj": "dense",
}
SCALES = ("_scale", "_scale_inv", "_scale_2", "weight_shape")  # ends of tensors' names


@dataclass(frozen=True)
class WeightPart:
    """All matrices of one kind in one layer (-1: in none). codes, scales: bytes.

    parameters: numbers that the codes stand for.
    """

    kind: Kind
    layer: int
    codes: int
    scales: int
    parameters: int

    @property
    def bytes(self) -> int:
        """Codes and scales."""
        return self.codes + self.scales


@dataclass(frozen=True)
class StoredMatrix:
    """A tensor as a header has it: its published name and its bytes."""

    name: str
    bytes: int


def planned_parts(network: ServedNetwork, form: WeightFormat) -> list[WeightPart]:
    """The parts that a checkpoint of this network in this format holds."""
    return [
        part_of(kind, layer, shapes, form)
        for kind, layer, shapes in matrices(network)
        if any(rows * columns for _, rows, columns in shapes)
    ]


def part_of(
    kind: Kind, layer: int, shapes: list[tuple[int, int, int]], form: WeightFormat
) -> WeightPart:
    """shapes: (count, rows, columns) of the part's matrices."""
    plain = kind in PLAIN and not form.host_only
    codes = scales = parameters = 0
    for count, rows, columns in shapes:
        numbers = rows * columns
        size, scale = (
            (2 * numbers, 0) if plain else form.sizes(rows, columns, expert=kind == "experts")
        )
        codes, scales = codes + count * size, scales + count * scale
        parameters += count * numbers
    return WeightPart(kind, layer, codes, scales, parameters)


def matrices(n: ServedNetwork) -> Iterator[tuple[Kind, int, list[tuple[int, int, int]]]]:
    """Every part's kind, layer, and (count, rows, columns) of its matrices."""
    hidden, heads = n.hidden_size, n.num_attention_heads
    yield "embedding", -1, [(1, n.vocab_size, hidden)]
    yield "norms", -1, [(1, 1, hidden)]
    yield "head", -1, [(1, n.vocab_size, hidden)]
    for layer in range(n.num_hidden_layers):
        rank = n.q_lora_rank
        yield "norms", layer, [(2, 1, hidden), (1, 1, n.kv_lora_rank), (1, 1, rank or 0)]
        if rank is not None:
            yield "query down", layer, [(1, rank, hidden)]
        yield "query up", layer, [(1, heads * n.qk_head_dim, rank or hidden)]
        yield "latent down", layer, [(1, n.latent_dim, hidden)]
        up = heads * (n.qk_nope_head_dim + n.v_head_dim)
        yield "latent up", layer, [(1, up, n.kv_lora_rank)]
        yield "output", layer, [(1, hidden, heads * n.v_head_dim)]
        yield from mlp_matrices(n, layer)


def mlp_matrices(
    n: ServedNetwork, layer: int
) -> Iterator[tuple[Kind, int, list[tuple[int, int, int]]]]:
    """Those of one layer's MLP or mixture of experts. The router's bias counts as a column."""

    def three(width: int, count: int = 1) -> list[tuple[int, int, int]]:
        return [(2 * count, width, n.hidden_size), (count, n.hidden_size, width)]

    if layer < n.first_k_dense_replace:
        yield "dense", layer, three(n.intermediate_size)
        return
    yield "router", layer, [(1, n.n_routed_experts, n.hidden_size + 1)]
    yield "shared", layer, three(n.n_shared_experts * n.moe_intermediate_size)
    yield "experts", layer, three(n.moe_intermediate_size, n.n_routed_experts)


def stored_parts(
    tensors: Iterable[StoredMatrix], network: ServedNetwork
) -> tuple[list[WeightPart], int]:
    """The parts of a checkpoint, from the bytes of its headers, and the bytes beyond its layers.

    Tensors of no kind that is known (a vision tower) are "other", which every rank holds whole.
    Layers beyond the last predict further tokens: engines load them for speculation only, so they
    are in no part.
    """
    codes, scales = defaultdict[tuple[Kind, int], int](int), defaultdict[tuple[Kind, int], int](int)
    beyond = 0
    for tensor in tensors:
        key = place(tensor.name, network)
        if key is None:
            beyond += tensor.bytes
            continue
        (scales if tensor.name.endswith(SCALES) else codes)[key] += tensor.bytes
    numbers = {
        (kind, layer): sum(count * rows * columns for count, rows, columns in shapes)
        for kind, layer, shapes in matrices(network)
    }
    keys = sorted({*codes, *scales}, key=lambda key: (key[1], key[0]))
    parts = [WeightPart(*key, codes[key], scales[key], numbers.get(key, 0)) for key in keys]
    return parts, beyond


def place(stored: str, network: ServedNetwork) -> tuple[Kind, int] | None:
    """Kind and layer of a published tensor name; None in a layer beyond the network's last."""
    name = text_name(stored)
    modules, layer = name.split("."), layer_of(name)
    kind = MODULES.get(modules[-2], "other") if len(modules) > 1 else "other"
    if modules[0] == "lm_head" or modules[:2] in (["model", "embed_tokens"], ["model", "norm"]):
        return kind, -1
    if layer is None:
        return "other", -1
    if layer >= network.num_hidden_layers:
        return None
    if "experts" in modules:
        return "experts", layer
    return ("shared" if "shared_experts" in modules else kind), layer
