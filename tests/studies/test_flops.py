"""FLOPs by arithmetic against torch's counter over the network itself."""

from dataclasses import asdict, replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from openk2.architecture import ModelConfig, forward_flops
from openk2.model import K2Model
from openk2.studies.flops import absorbed_attention_flops, attention_flops
from openk2.studies.heads import COUNTS
from openk2.studies.size import SMALL, quick

TINY = ModelConfig(**{**asdict(quick(SMALL).shape), "vocab_size": 64})


def test_a_forward_pass_does_what_the_formula_says():
    tokens = torch.zeros(2, 16, dtype=torch.int64)
    model = K2Model(TINY).initialize(0)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model.lm_head(model(tokens))
    # The whole square of pairs is computed, masked or not: 16 keys a query, as in documents of 31.
    assert tokens.numel() * forward_flops(TINY, 31) == counted.get_total_flops()


def test_latent_attention_costs_by_the_latents_width():
    k2 = ModelConfig()
    ratio = absorbed_attention_flops(k2, 7) / attention_flops(k2, 7)
    assert ratio == pytest.approx((576 + 512) / (192 + 128))


def test_twice_the_heads_of_k2_cost_as_published_within_our_ways_of_counting():
    k2 = ModelConfig()
    more = replace(k2, num_attention_heads=128)
    rises = [count(more) / count(k2) - 1 for _, count in COUNTS]
    assert rises == sorted(rises)
    assert rises[0] < 0.83 < rises[1]
