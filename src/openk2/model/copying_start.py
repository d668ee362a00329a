"""Heads that copy, written into the initial weights.

A tool call is mostly copying, and the two heads that copy ("induction heads", Olsson et al., arXiv
2209.11895) form late: in a small model that sees few tokens, never. Both can be written down:

    previous token   Layer 0, head 0 looks at the token one place back.
    matching         Layer 1, head 0 looks at what followed the same token, and writes it.

`initialise` draws the network; `CopyingStart` then replaces some entries of the embedding and
of the attention of these two layers. What it writes depends on the config alone; each tensor is
written by its published name, so any rank can write what it holds.

The residual stream is divided like this (D = hidden_size, s = the embedding's std):

    0 ... T-1      token      the embedding, normal(0, s)
    T ... 2T-1     previous   "induction" only: 0 in the embedding; layer 0 writes the previous
                              token's `token` part here
    2T ... D-2     rest       the embedding, normal(0, s)
    D-1            constant   CONSTANT * s in every token: read where no content is to be looked for

With "previous-token" the first two parts belong to the rest, and only queries and rotary keys of
layer 0's head 0 are written.

x below is a layer's input after its norm: every part divided by the rms of the stream, which
follows from the division above. The random rest of the network adds about 0.1 to an entry; with
s = 0.5 that is little, with the customary 0.02 it drowns the embedding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.model.rope import inverse_frequencies

Circuit = Literal["previous-token", "induction"]

CONSTANT = 8.0  # the constant coordinate, in stds of the embedding
PREVIOUS_WEIGHT = 0.99  # what the previous token gets of layer 0's attention, at any distance
LARGEST_LOGIT = 90.0  # below the usual cap of QK-Clip, 100
MATCH_LOGIT = 24.0  # of a matching key; one of another token has about MATCH_LOGIT / sqrt(T)
COPIED = 3.0  # the head's logit of the copied token over that of the position's own token
READ = 0.5  # entries of the identities that read the stream into latents
FEWEST = 32  # token coordinates by which a few hundred tokens can be told apart


@dataclass(frozen=True)
class CopyingStart:
    """Writes the entries of `circuit`.

    deviation: the embedding's std, s. Raises ValueError naming the size that has no room.
    """

    config: ModelConfig
    circuit: Circuit
    deviation: float

    def __post_init__(self) -> None:
        _ = self.query_rank  # refuses a network without the latent that the circuits write to
        if self.circuit == "induction":
            self.check_room()
        _ = self.turns  # refuses a rotary part that cannot single out the previous token

    def check_room(self) -> None:
        """Raise ValueError if the network is too small for both heads."""
        config = self.config
        if config.num_hidden_layers < 2:
            raise ValueError("num_hidden_layers is 1: the matching head stands in a second layer")
        room = {
            "hidden_size": (config.hidden_size - 1) // 2,
            "q_lora_rank": self.query_rank,
            "kv_lora_rank": config.kv_lora_rank // 2,
            "qk_nope_head_dim": config.qk_nope_head_dim,
            "v_head_dim": config.v_head_dim,
        }
        for name, coordinates in room.items():
            if coordinates < FEWEST:
                raise ValueError(
                    f"{name} is {getattr(config, name)}: it has room for {coordinates} coordinates "
                    f"of a token, the matching head needs {FEWEST}; use previous-token"
                )

    @property
    def query_rank(self) -> int:
        """q_lora_rank, which the circuits need. Raises ValueError without one."""
        if self.config.q_lora_rank is None:
            raise ValueError("q_lora_rank is null: the copying heads are written through it")
        return self.config.q_lora_rank

    @cached_property
    def width(self) -> int:
        """T, the coordinates of a token that are copied: as many as fit everywhere."""
        config = self.config
        return min(
            (config.hidden_size - 1) // 2,
            self.query_rank,
            config.kv_lora_rank // 2,
            config.qk_nope_head_dim,
            config.v_head_dim,
        )

    @cached_property
    def turns(self) -> tuple[Tensor, float]:
        """Radians a position of the n fastest rotary pairs, float32 [n], and their gain G.

        Query (cos f, -sin f) at position p and key (1, 0) at position j have, rotated, the product
        cos((p - 1 - j) f): 1 for the previous token. The logit is G times the sum over pairs. n is
        the fewest pairs for which no key within the window comes nearer to that than a neighbour
        does; G gives the previous token PREVIOUS_WEIGHT of the attention over a full window.
        """
        config = self.config
        frequencies = inverse_frequencies(config).double()
        distances = torch.arange(-1, config.max_position_embeddings, dtype=torch.float64)
        missing = torch.zeros_like(distances)  # how much less than n each key's sum is
        for n, frequency in enumerate(frequencies.tolist(), 1):
            missing += 1 - torch.cos(distances * frequency)
            gain = math.floor(LARGEST_LOGIT / n * 4) / 4
            weights = torch.exp(-gain * missing)
            if missing[2:].min() < 0.99 * missing[0] or 1 / weights.sum() < PREVIOUS_WEIGHT:
                continue
            while 1 / torch.exp(-(gain - 0.25) * missing).sum() >= PREVIOUS_WEIGHT:
                gain -= 0.25
            return frequencies[:n].float(), gain
        raise ValueError(
            f"qk_rope_head_dim is {config.qk_rope_head_dim}: its {len(frequencies)} pairs with "
            f"rope_theta {config.rope_theta:g} cannot single out the previous token in a window of "
            f"{config.max_position_embeddings}"
        )

    def writes(self, name: str) -> bool:
        """Whether `write` changes the tensor of this name."""
        return name in self.writers

    @torch.no_grad()
    def write(self, name: str, whole: Tensor) -> None:
        """Replace entries of the whole tensor `name` [out, in], drawn before, in place."""
        self.writers[name](whole)

    @cached_property
    def writers(self) -> dict[str, Callable[[Tensor], None]]:
        """By tensor name what writes it, given the whole tensor [out, in]."""
        first, second = (f"model.layers.{layer}.self_attn." for layer in (0, 1))
        writers: dict[str, Callable[[Tensor], None]] = {
            "model.embed_tokens.weight": self.embedding,
            first + "q_a_proj.weight": self.constant_query,
            first + "q_b_proj.weight": self.previous_query,
            first + "kv_a_proj_with_mqa.weight": self.first_latents,
        }
        if self.circuit == "induction":
            writers |= {
                first + "kv_b_proj.weight": self.previous_value,
                first + "o_proj.weight": self.previous_output,
                second + "q_a_proj.weight": self.token_query,
                second + "q_b_proj.weight": self.matching_query,
                second + "kv_a_proj_with_mqa.weight": self.second_latents,
                second + "kv_b_proj.weight": self.matching_key_value,
                second + "o_proj.weight": self.copied_output,
            }
        return writers

    def embedding(self, table: Tensor) -> None:
        """table [vocabulary, D]: the empty part and the constant."""
        if self.circuit == "induction":
            table[:, self.width : 2 * self.width] = 0.0
        table[:, -1] = CONSTANT * self.deviation

    # Layer 0, head 0: look at the previous token.

    def constant_query(self, q_a: Tensor) -> None:
        """q_a [q_lora_rank, D]: latent 0 reads the constant, as strongly as all others together."""
        q_a[0] = 0.0
        q_a[0, -1] = math.sqrt(self.drawn * self.query_rank) / self.constant

    def previous_query(self, q_b: Tensor) -> None:
        """q_b [heads * qk_head_dim, q_lora_rank]: `turns`, from latent 0."""
        frequencies, gain = self.turns
        rank = self.query_rank
        latent = math.sqrt(rank * rank / (2 * rank - 1))  # rank * drawn beside rank - 1 times drawn
        size = gain / (self.config.softmax_scale * latent * self.constant)
        start = self.config.qk_nope_head_dim
        rows = q_b[start : start + 2 * len(frequencies)]
        rows.zero_()
        rows[0::2, 0] = size * torch.cos(frequencies).to(q_b)
        rows[1::2, 0] = -size * torch.sin(frequencies).to(q_b)

    def first_latents(self, kv_a: Tensor) -> None:
        """kv_a [latent_dim, D]: key (1, 0) in the fast pairs; "induction": the token's part."""
        start, pairs = self.config.kv_lora_rank, len(self.turns[0])
        kv_a[start : start + 2 * pairs] = 0.0
        kv_a[start : start + 2 * pairs : 2, -1] = 1.0
        if self.circuit == "induction":
            self.identity(kv_a, 0, 0, READ)

    def previous_value(self, kv_b: Tensor) -> None:
        """kv_b [heads * (nope + v), kv_lora_rank]: head 0's value is the token's part."""
        latent = self.latent(self.entry(0), self.width, self.config.kv_lora_rank)
        self.identity(kv_b, self.config.qk_nope_head_dim, 0, math.sqrt(self.deviation / latent))

    def previous_output(self, o: Tensor) -> None:
        """o [D, heads * v]: that value into the previous token's part, as large as it was."""
        latent = self.latent(self.entry(0), self.width, self.config.kv_lora_rank)
        self.only_output(o, self.width, math.sqrt(self.deviation / latent))

    # Layer 1, head 0: look at what followed the same token, and write it.

    def token_query(self, q_a: Tensor) -> None:
        """q_a [q_lora_rank, D]: the token's part."""
        self.identity(q_a, 0, 0, READ)

    def matching_query(self, q_b: Tensor) -> None:
        """q_b [heads * qk_head_dim, q_lora_rank]: head 0 asks for the token."""
        self.identity(q_b, 0, 0, self.match)

    def second_latents(self, kv_a: Tensor) -> None:
        """kv_a [latent_dim, D]: the token's part, to be copied, and the previous, to match."""
        self.identity(kv_a, 0, 0, READ)
        self.identity(kv_a, self.width, self.width, READ)

    def matching_key_value(self, kv_b: Tensor) -> None:
        """kv_b [heads * (nope + v), kv_lora_rank]: head 0's key and value, previous and own."""
        self.identity(kv_b, 0, self.width, self.match)
        self.identity(kv_b, self.config.qk_nope_head_dim, 0, self.copied)

    def copied_output(self, o: Tensor) -> None:
        """o [D, heads * v]: that value into the token's part."""
        self.only_output(o, 0, self.copied)

    @property
    def match(self) -> float:
        """Of query and key alike: T products of it make MATCH_LOGIT."""
        query = self.latent(self.entry(1), self.width, self.query_rank)
        key = self.latent(self.entry(1), 2 * self.width, self.config.kv_lora_rank)
        logit = self.width * self.config.softmax_scale * query * key
        return math.sqrt(MATCH_LOGIT / logit)

    @property
    def copied(self) -> float:
        """Of value and output alike: together they make what is copied COPIED * own / T times s.

        own: a token's drawn coordinates, by all of which the head knows the position's own token.
        """
        own = self.config.hidden_size - 1 - self.width
        latent = self.latent(self.entry(1), 2 * self.width, self.config.kv_lora_rank)
        return math.sqrt(COPIED * own / self.width * self.deviation / latent)

    @property
    def drawn(self) -> float:
        """Variance of a latent whose row is drawn: x has mean square 1."""
        return self.config.initializer_range**2 * self.config.hidden_size

    @property
    def constant(self) -> float:
        """The constant coordinate in layer 0's x."""
        return CONSTANT * self.entry(0)

    def entry(self, layer: int) -> float:
        """Std of the token part's entries in x."""
        size = self.config.hidden_size
        empty = self.width if self.circuit == "induction" and layer == 0 else 0
        return math.sqrt(size / (size - 1 - empty + CONSTANT**2))

    def latent(self, entry: float, count: int, rank: int) -> float:
        """Std, after the latent's norm, of one of `count` latents that read an entry of x."""
        power = count * (READ * entry) ** 2 + (rank - count) * self.drawn
        return READ * entry / math.sqrt(power / rank)

    def identity(self, matrix: Tensor, row: int, column: int, size: float) -> None:
        """Rows row ... row + T - 1 read columns column ... column + T - 1 and nothing else.

        matrix: [out, in], changed in place. T: `width`.
        """
        rows = matrix[row : row + self.width]
        rows.zero_()
        rows[:, column : column + self.width].fill_diagonal_(size)

    def only_output(self, o: Tensor, row: int, size: float) -> None:
        """Head 0 writes T of its values to rows row ... row + T - 1 and nothing elsewhere.

        o: [hidden, H * v_head_dim], changed in place. T: `width`.
        """
        o[:, : self.config.v_head_dim] = 0.0
        o[row : row + self.width, : self.width].fill_diagonal_(size)
