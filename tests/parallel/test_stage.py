import itertools
from dataclasses import replace

import pytest
import torch

from openk2.architecture import ModelConfig, count_parameters, layer_parameters
from openk2.model import K2Model, Observation
from openk2.parallel import Layout
from openk2.parallel.stage import Stage, cut, keep_parts, parts_of
from tiny import TINY

FIVE_LAYERS = replace(TINY, num_hidden_layers=5)


def costs_of(config: ModelConfig) -> list[int]:
    """Parameters that a token meets, layer by layer and, last, in the head."""
    layers = range(config.num_hidden_layers)
    head = config.vocab_size * config.hidden_size
    return [*(layer_parameters(config, layer)[1] for layer in layers), head]


@pytest.mark.parametrize("stages", [1, 2, 3, 5])
@pytest.mark.parametrize("vocabulary", [64, 2000])
def test_no_cut_has_a_faster_slowest_part(stages: int, vocabulary: int) -> None:
    config = replace(FIVE_LAYERS, vocab_size=vocabulary)
    parts = cut(config, stages)
    assert [layer for part in parts for layer in part.layers] == list(range(5))
    costs = costs_of(config)
    slowest = max(sum(costs[part.layers.start : part.layers.stop + part.last]) for part in parts)
    for edges in itertools.combinations(range(1, 6), stages - 1):
        cuts = itertools.pairwise((0, *edges, 6))
        assert slowest <= max(sum(costs[start:end]) for start, end in cuts)


def test_k2s_last_part_has_fewer_layers_because_of_the_head() -> None:
    lengths = [[len(part.layers) for part in cut(ModelConfig(), count)] for count in (16, 32)]
    assert lengths[0] == [4] * 15 + [1]
    assert sorted(lengths[1]) == [0, 1] + [2] * 30
    assert lengths[1][-1] == 0


def test_more_stages_than_layers_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="5 layers do not make 6 stages"):
        cut(FIVE_LAYERS, 6)


@pytest.mark.parametrize(("pipeline", "virtual"), [(2, 1), (2, 2), (5, 1)])
def test_the_ranks_hold_the_network_once_under_its_own_names_with_its_own_numbers(
    pipeline: int, virtual: int
) -> None:
    whole = K2Model(FIVE_LAYERS).initialize(3).state_dict()
    found: dict[str, torch.Tensor] = {}
    for rank in range(pipeline):
        with torch.device("meta"):
            model = keep_parts(
                K2Model(FIVE_LAYERS), parts_of(FIVE_LAYERS, Layout(pipeline, virtual), rank)
            )
        state = model.to_empty(device="cpu").initialize(3).state_dict()
        assert not found.keys() & state.keys()
        found |= state
    assert found.keys() == whole.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, whole[name]), name


@torch.no_grad()
def test_stages_in_a_row_are_the_network() -> None:
    model = K2Model(FIVE_LAYERS).initialize(0)
    tokens = torch.randint(0, 64, (2, 10), generator=torch.Generator().manual_seed(0))
    segments = torch.tensor([0] * 6 + [1] * 4).expand(2, 10)
    one, several = Observation(FIVE_LAYERS), Observation(FIVE_LAYERS)
    expected = model(tokens, segments=segments, observation=one)
    x = tokens
    for part in cut(FIVE_LAYERS, 3):
        x = Stage(model, part, None)(x, segments=segments, observation=several)
    assert torch.equal(x, expected)
    assert torch.equal(one.max_logits, several.max_logits)
    assert torch.equal(one.expert_load, several.expert_load)


def test_a_stage_has_the_parameters_of_its_part_alone() -> None:
    with torch.device("meta"):
        model = K2Model(FIVE_LAYERS)
    stages = [Stage(model, part, None) for part in cut(FIVE_LAYERS, 3)]
    biases = sum(buffer.numel() for buffer in model.buffers())
    held = [{id(p) for p in stage.parameters()} for stage in stages]
    assert len(set().union(*held)) == sum(map(len, held)) == len(list(model.parameters()))
    sizes = sum(p.numel() for stage in stages for p in stage.parameters())
    assert sizes + biases == count_parameters(FIVE_LAYERS).total
