"""What attention computes in float32, and which queries it tells an observation of."""

import pytest
import torch

from openk2.model import ContiguousCache, Observation
from openk2.model.attention import LatentAttention
from openk2.model.context import CachedKeys, KeysInCache, LayerContext, OwnKeys
from openk2.model.linear import Linear
from openk2.model.norm import RMSNorm
from openk2.model.spans import SPAN_BLOCK, document_spans
from tiny import ATTENTION


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_are_scaled_masked_and_normalised_in_float32(dtype: torch.dtype) -> None:
    attention, observation = LatentAttention(ATTENTION, 0), Observation(ATTENTION)
    products = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0)).mul(30).to(dtype)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    weights = attention.weigh(products, mask, observation=observation)
    logits = (products.float() * ATTENTION.softmax_scale).masked_fill(~mask, -torch.inf)
    assert torch.equal(observation.max_logits[0], logits.amax((0, 2, 3)))
    assert torch.equal(weights, logits.softmax(-1).to(dtype))


@pytest.mark.parametrize(("length", "form"), [(1, "absorbed"), (2, "expanded"), (5, "expanded")])
def test_a_step_of_one_token_never_expands_the_cache_and_a_prompt_does(
    length: int, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absorbed, a step reads the latents alone; expanded, a prompt multiplies least."""
    attention = LatentAttention(ATTENTION, 0)
    other = {"absorbed": "expanded", "expanded": "absorbed"}[form]
    monkeypatch.delattr(LatentAttention, other)
    cache = ContiguousCache(ATTENTION, 1, length)
    mask = torch.ones(1, length, length, dtype=torch.bool).tril()
    turns = (torch.ones(1, length, 2), torch.zeros(1, length, 2))
    keys = CachedKeys(cache, torch.arange(length)[None], mask)
    assert attention(torch.randn(1, length, 16), LayerContext(turns, keys)).shape == (1, length, 16)


@pytest.mark.parametrize("start", [0, SPAN_BLOCK - 3, SPAN_BLOCK, 2 * SPAN_BLOCK + 5])
def test_an_observation_of_some_queries_is_the_same_by_spans_in_every_block(start: int) -> None:
    torch.manual_seed(start)
    attention, length = LatentAttention(ATTENTION, 0), 2 * SPAN_BLOCK + 30
    segments = (torch.arange(length) // 100).expand(2, -1)
    x = torch.randn(2, length, 16)
    turns = (torch.ones(2, length, 2), torch.zeros(2, length, 2))
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    mask = mask & (segments[:, :, None] == segments[:, None, :])
    observed = torch.zeros(2, length, dtype=torch.bool)
    observed[1, start : start + 4] = True
    largest = []
    for spans in (None, document_spans(segments)):
        observation = Observation(ATTENTION)
        observation.see_only(observed)
        attention(x, LayerContext(turns, OwnKeys(mask, spans), observation))
        largest.append(observation.max_logits)
    torch.testing.assert_close(largest[1], largest[0])


class Rows:
    """An `AttendingCache` of one sequence, in plain products."""

    def __init__(self) -> None:
        self.stored: dict[int, torch.Tensor] = {}

    def paged(self) -> None:
        """Only the methods know where latents are."""

    def store(self, layer: int, latents: torch.Tensor) -> None:
        self.stored[layer] = latents.flatten(0, 1)

    def attend(self, layer: int, query: torch.Tensor, scale: float, rank: int) -> torch.Tensor:
        latents = self.stored[layer]
        logits = torch.einsum("nhd,sd->nhs", query, latents) * scale
        unseen = torch.ones(len(query), len(latents), dtype=torch.bool).triu(1)
        weights = logits.masked_fill(unseen[:, None], -torch.inf).softmax(-1)
        return torch.einsum("nhs,sr->nhr", weights, latents[:, :rank])


@pytest.mark.parametrize("sequence", [True, False])
@torch.inference_mode()
def test_the_packed_form_over_a_cache_that_attends_equals_the_plain_one(sequence: bool) -> None:
    torch.manual_seed(3)
    attention, tokens = LatentAttention(ATTENTION, 0), 7
    x = torch.randn(1, tokens, 16)
    angles = torch.rand(1, tokens, 2)
    mask = torch.ones(1, tokens, tokens, dtype=torch.bool).tril()
    turns = angles.cos(), angles.sin()
    plain = attention(x, LayerContext(turns, OwnKeys(mask)))
    for module in list(attention.modules()):
        if isinstance(module, LatentAttention | Linear | RMSNorm):
            module.pack()
    # A step feeds all its tokens as rows of one token, whatever sequence they are of.
    turned = [part if sequence else part.transpose(0, 1) for part in (x, *turns)]
    packed = attention(turned[0], LayerContext((turned[1], turned[2]), KeysInCache(Rows())))
    packed = packed if sequence else packed.transpose(0, 1)
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=1e-4)
