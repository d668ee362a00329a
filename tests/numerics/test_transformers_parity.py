"""Our network against transformers' DeepseekV3ForCausalLM, an independent implementation."""

import dataclasses

import pytest
import torch

from openk2.architecture import Yarn
from openk2.model import ContiguousCache
from tiny import COMPARED
from transformers_twin import random_model, twin_of

YARNS = {
    "no yarn": None,
    "hard step, as K2 0711": Yarn(32.0, 64, beta_fast=1, beta_slow=1, mscale_all_dim=1.0),
    "ramp, as K2 Thinking": Yarn(64.0, 32, beta_fast=32, beta_slow=1, mscale_all_dim=1.0),
    "mscale ratio not 1": Yarn(8.0, 256, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=0.7),
}
VARIANTS = {
    "K2": {},
    "two dense layers, two shared experts": {"first_k_dense_replace": 2, "n_shared_experts": 2},
    "weights not normalised, eps that shows": {
        "norm_topk_prob": False,
        "rms_norm_eps": 1e-2,
        "routed_scaling_factor": 1.0,
    },
}


@pytest.mark.parametrize("yarn", YARNS.values(), ids=YARNS)
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@torch.no_grad()
def test_logits_equal_transformers(
    yarn: Yarn | None, variant: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    config = dataclasses.replace(COMPARED, rope_scaling=yarn, **variant)
    tokens = torch.randint(0, 300, (2, 150), generator=torch.Generator().manual_seed(7))
    model = random_model(config, seed=11)
    ours = model.lm_head(model(tokens))
    theirs = twin_of(model)(tokens).logits
    error = float((ours - theirs).abs().max())
    with capsys.disabled():
        print(f"\n  max logit error against transformers {error:.1e} of {theirs.abs().max():.1f}")
    assert error < 1e-4


@pytest.mark.parametrize("yarn", YARNS.values(), ids=YARNS)
@torch.no_grad()
def test_cached_and_absorbed_equal_uncached_and_expanded(
    yarn: Yarn | None, capsys: pytest.CaptureFixture[str]
) -> None:
    config = dataclasses.replace(COMPARED, rope_scaling=yarn)
    model = random_model(config, seed=3)
    tokens = torch.randint(0, 300, (2, 60), generator=torch.Generator().manual_seed(1))
    whole = model.lm_head(model(tokens))
    cache = ContiguousCache(config, batch=2, max_length=60)
    positions = torch.arange(60).expand(2, 60)
    cuts = [slice(0, 30), slice(30, 45), *(slice(t, t + 1) for t in range(45, 60))]
    parts = [model(tokens[:, c], positions=positions[:, c], cache=cache) for c in cuts]
    error = float((model.lm_head(torch.cat(parts, 1)) - whole).abs().max())
    with capsys.disabled():
        print(f"\n  max logit error cached, absorbed {error:.1e}")
    assert error < 1e-4


@torch.no_grad()
def test_absorbed_attention_equals_expanded_attention() -> None:
    attention = random_model(COMPARED, seed=5).model.layers[0].self_attn
    generator = torch.Generator().manual_seed(2)
    q_nope = torch.randn(2, 4, 5, 16, generator=generator)
    q_rope = torch.randn(2, 4, 5, 8, generator=generator)
    latents = torch.randn(2, 9, 56, generator=generator)
    mask = torch.ones(2, 1, 5, 9, dtype=torch.bool).tril(4)
    expanded = attention.expanded(q_nope, q_rope, latents, mask)
    absorbed = attention.absorbed(q_nope, q_rope, latents, mask)
    torch.testing.assert_close(absorbed, expanded, atol=1e-5, rtol=1e-5)
