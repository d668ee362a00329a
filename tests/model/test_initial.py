import dataclasses

import torch

from openk2.model import K2Model
from tiny import TINY


def test_initialisation_depends_on_the_seed_alone() -> None:
    config = dataclasses.replace(TINY)
    first, again, other = (K2Model(config).initialize(seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
