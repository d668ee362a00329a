"""Latent attention against float64, and bit by bit against itself in other company and pages."""

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from openk2.kernels import latent_attention
from openk2.kernels.attention import attention_twin

# Of the largest value: float32 throughout, or weights and products of bfloat16.
FLOAT_ERROR, PAIR_ERROR = 2e-5, 2**-7
NAN = float("nan")


@dataclass(frozen=True)
class Case:
    """Sequences' latents [length, D], and queries [T, H, D] with their sequences and lengths."""

    latents: list[Tensor]
    q: Tensor
    sequence: list[int]
    lengths: list[int]
    rank: int
    scale: float

    def of(self, rows: list[int]) -> "Case":
        return replace(
            self,
            q=self.q[rows],
            sequence=[self.sequence[row] for row in rows],
            lengths=[self.lengths[row] for row in rows],
        )

    def attend(self, function, page_size: int, seed: int, **options) -> Tensor:
        """Lay the latents into pages in an order of the seed, NaN wherever none lies."""
        dim, dtype = self.latents[0].shape[1], self.latents[0].dtype
        needs = [-(-len(latents) // page_size) for latents in self.latents]
        order = torch.randperm(sum(needs) + 2, generator=torch.Generator().manual_seed(seed))
        pages = torch.full((len(order), page_size, dim), NAN, dtype=dtype)
        # What a query does not reach may name no page at all.
        tables = torch.full((len(needs), max(needs) + 3), -7, dtype=torch.int32)
        for row, (latents, need) in enumerate(zip(self.latents, needs, strict=True)):
            own, order = order[:need], order[need:]
            tables[row, :need] = own.int()
            for page, part in zip(own, latents.split(page_size), strict=True):
                pages[page, : len(part)] = part
        sequence = torch.tensor(self.sequence, dtype=torch.int32)
        lengths = torch.tensor(self.lengths, dtype=torch.int32)
        return function(self.q, pages, tables, sequence, lengths, self.scale, self.rank, **options)


@st.composite
def cases(draw, dtype=torch.float32, q_dtype=torch.float32):
    dim, rank = draw(st.sampled_from([(576, 512), (24, 16), (80, 80), (33, 7), (128, 64)]))
    heads = draw(st.sampled_from([1, 2, 3, 4, 9]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    counts = draw(st.lists(st.integers(1, 200), min_size=1, max_size=3))
    latents = [torch.randn(count, dim, generator=generator).to(dtype) for count in counts]
    rows = draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=12))
    if draw(st.booleans()):
        rows = sorted(rows)
    lengths = [draw(st.integers(0, counts[row])) for row in rows]
    q = torch.randn(len(rows), heads, dim, generator=generator).to(q_dtype)
    return Case(latents, q, rows, lengths, rank, draw(st.sampled_from([0.02, dim**-0.5, 1.0])))


def exact(case: Case) -> Tensor:
    result = torch.zeros(*case.q.shape[:2], case.rank, dtype=torch.float64)
    for row, (owner, length) in enumerate(zip(case.sequence, case.lengths, strict=True)):
        if length:
            keys = case.latents[owner][:length].double()
            weights = (case.q[row].double() @ keys.T * case.scale).softmax(-1)
            result[row] = weights @ keys[:, : case.rank]
    return result


@given(data=st.data(), page_size=st.sampled_from([1, 5, 16, 64]))
@settings(max_examples=12, deadline=None)
def test_attention_is_the_exact_one_within_the_written_error(
    isa, x_dtype, weight_dtype, pairs_meet, data, page_size
):
    case = data.draw(cases(weight_dtype, x_dtype))
    expected = exact(case)
    largest = max(float(latents.abs().max()) for latents in case.latents)
    pairs = pairs_meet(isa, x_dtype, weight_dtype)
    error = (PAIR_ERROR if pairs else FLOAT_ERROR) * largest
    result = case.attend(latent_attention, page_size, 1, out_dtype=torch.float32, isa=isa)
    assert (result - expected).abs().max() <= error
    rounded = case.attend(latent_attention, page_size, 1, isa=isa)
    assert rounded.dtype == x_dtype
    assert torch.equal(rounded, result.to(x_dtype))


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_the_twin_is_the_exact_one_within_the_written_error(data):
    case = data.draw(cases())
    largest = max(float(latents.abs().max()) for latents in case.latents)
    result = case.attend(attention_twin, 16, 1)
    assert (result - exact(case)).abs().max() <= FLOAT_ERROR * largest


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_query_has_the_same_bits_in_any_company_pages_and_threads(
    isa, x_dtype, weight_dtype, using_threads, data
):
    case = data.draw(cases(weight_dtype, x_dtype))
    page_sizes, seeds = st.sampled_from([1, 3, 16, 64, 100]), st.integers(0, 99)

    def attend(some: Case) -> Tensor:
        with using_threads(data.draw(st.sampled_from([1, 2, 5]))):
            return some.attend(latent_attention, data.draw(page_sizes), data.draw(seeds), isa=isa)

    together = attend(case)
    count = len(case.sequence)
    some = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=8))
    assert torch.equal(attend(case.of(some)), together[some])
    assert torch.equal(attend(case.of(some[:1])), together[some[:1]])
    heads = data.draw(st.integers(1, case.q.shape[1]))
    assert torch.equal(attend(replace(case, q=case.q[:, :heads])), together[:, :heads])


@given(
    cuts=st.lists(st.integers(1, 149), max_size=4),
    heads=st.sampled_from([1, 2, 5]),
    start=st.integers(0, 70),
)
@settings(max_examples=10, deadline=None)
def test_a_prompt_cut_anywhere_gives_the_same_bits(
    isa, x_dtype, weight_dtype, random_tensor, cuts, heads, start
):
    count = 150
    latents = random_tensor(1, start + count, 40, dtype=weight_dtype)
    q = random_tensor(2, count, heads, 40, dtype=x_dtype)
    lengths = list(range(start + 1, start + count + 1))
    case = Case([latents], q, [0] * count, lengths, 32, 0.2)
    whole = case.attend(latent_attention, 16, 0, isa=isa)
    edges = sorted({0, *cuts, count})
    parts = []
    for first, end in pairwise(edges):
        # The later latents are not there yet.
        known = latents.clone()
        known[start + end :] = NAN
        part = replace(case.of(list(range(first, end))), latents=[known])
        parts.append(part.attend(latent_attention, 16, first, isa=isa))
    assert torch.equal(torch.cat(parts), whole)


def test_nan_in_a_later_key_of_the_chunk_does_not_reach_an_earlier_query(isa, weight_dtype):
    latents = torch.randn(70, 64, generator=torch.Generator().manual_seed(1)).to(weight_dtype)
    q = torch.randn(70, 2, 64, generator=torch.Generator().manual_seed(2)).to(weight_dtype)
    case = Case([latents], q, [0] * 70, list(range(1, 71)), 32, 0.1)
    clean = case.attend(latent_attention, 16, 0, isa=isa)
    latents[40, 3] = NAN
    dirty = replace(case, latents=[latents]).attend(latent_attention, 16, 0, isa=isa)
    assert torch.equal(dirty[:40], clean[:40])
    assert dirty[40:].isnan().any(dim=-1).all()


def test_parts_of_wider_tensors_are_read_and_filled_in_place(isa, random_tensor):
    case = Case(
        [random_tensor(0, 9, 24)], random_tensor(1, 5, 2, 40)[..., :24], [0] * 5, [9] * 5, 16, 1.0
    )
    out = torch.full((5, 2, 20), 7.0)
    case.attend(latent_attention, 4, 0, out=out[..., :16], isa=isa)
    dense = replace(case, q=case.q.contiguous()).attend(latent_attention, 4, 0, isa=isa)
    assert torch.equal(out[..., :16], dense)
    assert (out[..., 16:] == 7).all()


def test_what_does_not_fit_is_refused_by_name(isa, random_tensor):
    q, pages = random_tensor(0, 2, 1, 8), random_tensor(1, 3, 4, 8)

    def attend(tables=((0, 1), (2, 0)), sequence=(0, 1), lengths=(8, 3), rank=4, pages=pages):
        numbers = (torch.tensor(x, dtype=torch.int32) for x in (tables, sequence, lengths))
        return latent_attention(q, pages, *numbers, 1.0, rank, isa=isa)

    assert attend().isfinite().all()
    assert attend(tables=((0, 1), (2, 99))).isfinite().all()
    for wrong, words in (
        ({"sequence": (0, 2)}, "no row of tables"),
        ({"sequence": (-1, 0)}, "no row of tables"),
        ({"lengths": (9, 3)}, "beyond what a row of tables reaches"),
        ({"lengths": (-1, 3)}, "below 0"),
        ({"tables": ((0, 3), (2, 0))}, "names a page that does not exist"),
        ({"tables": ((0, -1), (2, 0))}, "names a page that does not exist"),
        ({"rank": 9}, "rank is 9"),
        ({"lengths": (1, 1, 1)}, r"lengths \[3\]"),
        ({"pages": pages[..., :7]}, r"pages \[3, 4, 7\]"),
        ({"pages": pages.mT.contiguous().mT}, "not contiguous"),
    ):
        with pytest.raises(ValueError, match=words):
            attend(**wrong)
    with pytest.raises(TypeError, match=r"pages is torch.float64"):
        attend(pages=pages.double())
    zeros = torch.zeros(2, 2, dtype=torch.int32)
    with pytest.raises(TypeError, match=r"lengths is torch.int64"):
        latent_attention(q, pages, zeros, zeros[0], torch.ones(2).long(), 1.0, 4)


def test_tables_and_lengths_may_have_any_strides(isa, random_tensor):
    q, pages = random_tensor(0, 2, 1, 8), random_tensor(1, 3, 4, 8)
    one = torch.ones(1, dtype=torch.int32)
    spread = torch.tensor([[2, 9], [0, 9]], dtype=torch.int32).T  # its rows are not dense
    wide = torch.tensor([0, 7, 0, 7], dtype=torch.int32)[::2]
    for tables, sequence, lengths in (
        (one[None].expand(1, 2), (one - 1).expand(2), (8 * one).expand(2)),
        (spread[:1].expand(2, 2), one.expand(2), wide + 6),
        (spread[:1], wide, (3 * one).expand(2)),
    ):
        numbers = (tables, sequence, lengths)
        dense = [torch.tensor(each.tolist(), dtype=torch.int32) for each in numbers]
        expected = latent_attention(q, pages, *dense, 1.0, 4, isa=isa)
        found = latent_attention(q, pages, tables, sequence, lengths, 1.0, 4, isa=isa)
        assert torch.equal(found, expected)
