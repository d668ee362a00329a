"""The plan of `wave_attention` for one step: which queries go together, and their waves of keys.

Plain Python over the requests' lengths, once a step for all layers. Requests that feed equally many
tokens are a group; within it the longest come first, so those that have keys left are always the
first ones, and no wave gathers pages of a request that has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from openk2.engine.scheduler import ScheduledChunk
from openk2.kernels import HIDDEN, Wave

# A wave has at most so many products (of tokens, heads and keys) and latent values, unless a single
# page of every request has more. The softmax of the products takes 128 MiB, in float32; latents
# take as much in bfloat16.
PRODUCTS = 1 << 25
LATENT_VALUES = 1 << 26


@dataclass(frozen=True)
class WaveSizes:
    """What bounds a wave: the network's heads and latent_dim, the cache's page_size, the queries'
    dtype, and how many products and latent values there may be at once."""

    heads: int
    latent_dim: int
    page_size: int
    dtype: torch.dtype
    products: int = PRODUCTS
    values: int = LATENT_VALUES

    def pages(self, runs: int, tokens: int) -> int:
        """How many pages of each of `runs` requests that feed `tokens` each fit into a wave."""
        keys = min(
            self.products // (runs * tokens * self.heads), self.values // (runs * self.latent_dim)
        )
        return max(1, keys // self.page_size)


@dataclass(frozen=True)
class PlannedWave:
    """Pages first_page to first_page + width of the first `runs` requests of a group.

    pages: their numbers, request by request. masked: whether a query must not see some key.
    """

    runs: int
    first_page: int
    width: int
    pages: list[int]
    masked: bool


@dataclass(frozen=True)
class PlannedGroup:
    """Requests that feed `tokens` each; their first token is the step's `first`."""

    first: int
    runs: int
    tokens: int
    waves: list[PlannedWave]


@dataclass(frozen=True)
class QueryGroup:
    """A planned group on the device: its part of the step's tokens, and its waves."""

    queries: slice
    runs: int
    waves: list[Wave]


def in_groups(step: Sequence[ScheduledChunk]) -> list[ScheduledChunk]:
    """The chunks of a step in the order in which `plan_waves` takes them."""
    return sorted(step, key=lambda c: (c.num_tokens, -c.request.num_computed_tokens))


def plan_waves(chunks: Sequence[ScheduledChunk], sizes: WaveSizes) -> list[PlannedGroup]:
    """The groups of chunks that `in_groups` has ordered; their pages are allocated."""
    groups: list[PlannedGroup] = []
    first = 0
    for tokens, members in groupby(chunks, key=lambda chunk: chunk.num_tokens):
        group = list(members)
        waves = waves_of(group, tokens, sizes)
        groups.append(PlannedGroup(first, len(group), tokens, waves))
        first += len(group) * tokens
    return groups


def waves_of(group: list[ScheduledChunk], tokens: int, sizes: WaveSizes) -> list[PlannedWave]:
    """All keys of a group's requests, wave by wave."""
    size = sizes.page_size
    needed = [-(-(c.request.num_computed_tokens + tokens) // size) for c in group]
    waves: list[PlannedWave] = []
    page = 0
    while page < needed[0]:
        runs = sum(pages > page for pages in needed)
        width = min(sizes.pages(runs, tokens), needed[0] - page)
        pages: list[int] = []
        for chunk, count in zip(group[:runs], needed, strict=False):
            table = chunk.request.page_table
            here = table[page : min(page + width, count)]
            # Padded with a page that holds numbers; its keys are hidden.
            pages += here + table[:1] * (width - len(here))
        shortest = group[runs - 1].request.num_computed_tokens
        masked = (page + width) * size > shortest + 1
        waves.append(PlannedWave(runs, page, width, pages, masked))
        page += width
    return waves


def on_device(
    group: PlannedGroup, pages: Sequence[Tensor], positions: Tensor, sizes: WaveSizes
) -> QueryGroup:
    """The group's waves as tensors.

    pages: int64 [runs * width], of each wave. positions: int64 [N], of all tokens of the step.
    """
    queries = slice(group.first, group.first + group.runs * group.tokens)
    own = positions[queries].view(group.runs, group.tokens)
    waves = [
        Wave(w.runs, ids, hidden_keys(w, own[: w.runs], sizes) if w.masked else None)
        for w, ids in zip(group.waves, pages, strict=True)
    ]
    return QueryGroup(queries, group.runs, waves)


def hidden_keys(wave: PlannedWave, positions: Tensor, sizes: WaveSizes) -> Tensor:
    """`Wave.hidden` of tokens at `positions` [runs, tokens]: [runs, tokens, keys]."""
    first = wave.first_page * sizes.page_size
    count = wave.width * sizes.page_size
    keys = torch.arange(first, first + count, device=positions.device)
    return (keys > positions[..., None]).to(sizes.dtype) * HIDDEN
