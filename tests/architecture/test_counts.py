"""Parameters and operations by arithmetic against the network itself, for every kind."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from openk2.architecture import ModelConfig, count_parameters, head_flops, layer_flops
from openk2.model import K2Model
from tiny import KINDS


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_parameters_are_those_of_the_network(config: ModelConfig) -> None:
    with torch.device("meta"):
        model = K2Model(config)
    numbers = sum(p.numel() for p in (*model.parameters(), *model.buffers()))
    assert numbers == count_parameters(config).total


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_operations_are_those_of_a_forward_pass(config: ModelConfig) -> None:
    length = 16
    tokens = torch.zeros(2, length, dtype=torch.int64)
    model = K2Model(config).initialize(0)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model.lm_head(model(tokens))
    layers = [layer_flops(config, layer, length) for layer in range(config.num_hidden_layers)]
    # The network computes the whole square of pairs, the formula counts the visible half.
    square = 2 * length / (length + 1)
    ours = sum(each.mla_up + each.down + each.rest + each.attention * square for each in layers)
    assert tokens.numel() * (ours + head_flops(config)) == pytest.approx(counted.get_total_flops())


def test_a_tied_head_is_counted_once_and_multiplied_with() -> None:
    tied = KINDS["groups without normalisation"]
    count = count_parameters(tied)
    assert tied.tie_word_embeddings
    assert count.active == count.active_without_embedding
