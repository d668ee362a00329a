import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.model import Observation
from openk2.model.attention import LatentAttention
from openk2.model.context import LayerContext, OwnKeys
from openk2.model.spans import document_spans, windows
from tiny import ATTENTION

LENGTH = 13


def segments_of(lengths: list[int]) -> list[int]:
    """Documents of these lengths, then padding."""
    row = [index for index, length in enumerate(lengths) for _ in range(length)][:LENGTH]
    return row + [-1] * (LENGTH - len(row))


ROWS = st.lists(
    st.lists(st.integers(1, 9), min_size=0, max_size=6).map(segments_of), min_size=1, max_size=3
)


@given(ROWS, st.integers(1, LENGTH))
@settings(max_examples=60, deadline=None)
def test_spans_cover_every_visible_pair_and_every_query_once(
    rows: list[list[int]], block: int
) -> None:
    for row, spans in zip(rows, document_spans(torch.tensor(rows), block), strict=True):
        assert [q for span in spans for q in range(span.start, span.end)] == list(range(LENGTH))
        for span in spans:
            for query in range(span.start, span.end):
                visible = [key for key in range(query + 1) if row[key] == row[query]]
                assert span.first <= visible[0]


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_attention_by_spans_equals_attention_over_the_whole_row(rows: list[list[int]]) -> None:
    torch.manual_seed(0)
    attention = LatentAttention(ATTENTION, 0)
    segments = torch.tensor(rows)
    x = torch.randn(len(rows), LENGTH, 16)
    turns = (torch.ones(len(rows), LENGTH, 2), torch.zeros(len(rows), LENGTH, 2))
    mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    mask = mask & (segments[:, :, None] == segments[:, None, :])
    results = []
    for spans in (None, document_spans(segments, block=4)):
        observation = Observation(ATTENTION)
        y = attention(x, LayerContext(turns, OwnKeys(mask, spans), observation))
        gradient = torch.autograd.grad(y.square().sum(), attention.kv_b_proj.weight)[0]
        results.append((y, gradient, observation.max_logits))
    for dense, blocked in zip(*results, strict=True):
        torch.testing.assert_close(blocked, dense, atol=1e-5, rtol=1e-4)


def test_windows_are_slices_and_give_the_gradient_of_slices() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 9, 4, generator=generator, requires_grad=True)
    places = [(0, 0, 5), (0, 2, 9), (1, 4, 6), (1, 5, 6)]
    slices = [x[row, :, start:end] for row, start, end in places]
    given = windows(x, places)
    weights = [torch.randn(s.shape, generator=generator) for s in slices]
    for window, piece in zip(given, slices, strict=True):
        assert torch.equal(window, piece)
    gradients = []
    for pieces in (given, slices):
        total = sum((w * p).sum() for w, p in zip(weights, pieces, strict=True))
        gradients.append(torch.autograd.grad(total, x)[0])
    torch.testing.assert_close(*gradients)
