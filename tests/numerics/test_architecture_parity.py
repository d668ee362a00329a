"""Every kind of network of the family against transformers: prompts, decoding, a training step."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from openk2.architecture import ModelConfig
from openk2.data import Batch
from openk2.model import ContiguousCache, K2Model
from openk2.optim import MuonClip
from openk2.optim.reference import HeadViews, muon_clip_step
from openk2.train.passes import MicroBatches
from openk2.train.step import train_step
from tiny import KINDS
from transformers_twin import random_model, split, twin_of

LR, DECAY, MU, SPEED = 0.01, 0.1, 0.95, 0.01


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
@torch.no_grad()
def test_prompts_and_decoding_equal_transformers(
    config: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = torch.randint(0, 300, (2, 48), generator=torch.Generator().manual_seed(7))
    model = random_model(config, seed=11)
    theirs = twin_of(model)(tokens).logits
    prompt = model.lm_head(model(tokens))
    cache = ContiguousCache(config, batch=2, max_length=48)
    positions = torch.arange(48).expand(2, 48)
    cuts = [slice(0, 30), slice(30, 40), *(slice(t, t + 1) for t in range(40, 48))]
    steps = [model(tokens[:, c], positions=positions[:, c], cache=cache) for c in cuts]
    decoded = model.lm_head(torch.cat(steps, 1))
    errors = [float((each - theirs).abs().max()) for each in (prompt, decoded)]
    with capsys.disabled():
        print(f"\n  max logit error {errors[0]:.1e}, decoded {errors[1]:.1e}")
    assert max(errors) < 1e-4


def test_masked_groups_lose_to_negative_scores() -> None:
    """Masking with 0, as earlier copies of the published code have it, would choose others."""
    config = dataclasses.replace(KINDS["DeepSeek-V3"], topk_group=1)
    model = random_model(config, seed=3)
    for layer in model.decoder_layers[1:]:
        layer.mlp.gate.e_score_correction_bias.sub_(2.0)  # every biased score is negative
    tokens = torch.randint(0, 300, (2, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        error = (model.lm_head(model(tokens)) - twin_of(model)(tokens).logits).abs().max()
        chosen = model.decoder_layers[1].mlp.gate(torch.randn(9, 64))[1]
    assert error < 1e-4
    assert (chosen // 4 == chosen[:, :1] // 4).all()  # all of a token's experts are in one group


class Recorded:
    """What QK-Clip and the balance rule need, taken from transformers' own forward pass."""

    def __init__(self, twin: nn.Module, config: ModelConfig) -> None:
        self.max_logits: list[Tensor] = []
        self.loads: dict[int, Tensor] = {}
        AttentionInterface.register("recorded", self.attend)
        twin.config._attn_implementation = "recorded"
        for number, layer in enumerate(twin.model.layers):
            if config.is_moe(number):
                layer.mlp.gate.register_forward_hook(self.count(number, config))

    def count(self, number: int, config: ModelConfig):
        def hook(_module: nn.Module, _inputs: tuple, outputs: tuple) -> None:
            chosen = outputs[2].flatten()
            self.loads[number] = torch.bincount(chosen, minlength=config.n_routed_experts)

        return hook

    def attend(self, _module, query, key, value, _mask, *, scaling: float, **_settings):
        visible = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
        logits = (query @ key.mT * scaling).masked_fill(~visible, -torch.inf)
        self.max_logits.append(logits.detach().amax((0, 2, 3)))
        return (logits.softmax(-1) @ value).transpose(1, 2), None


def our_step(model: K2Model, tokens: Tensor, targets: Tensor, tau: float) -> None:
    optimizer = MuonClip(
        model.named_parameters(remove_duplicate=False),
        lr=LR,
        weight_decay=DECAY,
        momentum=MU,
        tau=tau,
        ns_dtype=torch.float32,
    )
    batch = Batch(tokens, torch.zeros_like(tokens), targets, torch.ones_like(tokens).byte())
    passes = MicroBatches(model, 2, None)
    report = train_step(model, optimizer, batch, passes, grad_clip=1e9, bias_speed=SPEED)
    assert 0 < report.clipped_heads < report.clipped.numel()


def expected_step(
    model: K2Model, gradients: dict[str, Tensor], max_logits: Tensor, tau: float
) -> dict[str, Tensor]:
    """The weights after algorithm 1, by its reference, and AdamW by torch."""
    config = model.config
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    tables = [name for name in weights if "embed" in name or "lm_head" in name]
    vectors = [name for name, w in weights.items() if w.ndim < 2]
    for names, decay in ((tables, DECAY), (vectors, 0.0)):
        parameters = [nn.Parameter(weights[name]) for name in names]
        for name, parameter in zip(names, parameters, strict=True):
            parameter.grad = gradients[name]
        torch.optim.AdamW(parameters, lr=LR, betas=(0.9, 0.95), weight_decay=decay).step()
    hidden = [name for name in weights if name not in tables + vectors]
    matrices, slopes = [], []
    for name in hidden:
        weight, gradient = weights[name], gradients[name]
        stack = weight.ndim == 3
        matrices += list(weight) if stack else [weight]
        slopes += list(gradient) if stack else [gradient]
    heads = []
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}.self_attn."
        up = "q_proj" if config.q_lora_rank is None else "q_b_proj"
        query = weights[f"{prefix}{up}.weight"].unflatten(0, (config.num_attention_heads, -1))
        key = weights[f"{prefix}kv_b_proj.weight"].unflatten(0, (config.num_attention_heads, -1))
        nope = config.qk_nope_head_dim
        heads += [HeadViews(q[:nope], k[:nope], q[nope:]) for q, k in zip(query, key, strict=True)]
    muon_clip_step(
        matrices,
        slopes,
        [torch.zeros_like(matrix) for matrix in matrices],
        heads,
        max_logits.flatten().tolist(),
        lr=LR,
        mu=MU,
        weight_decay=DECAY,
        tau=tau,
    )
    return weights


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_a_training_step_is_that_of_transformers_gradients_and_algorithm_1(
    config: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = torch.Generator().manual_seed(5)
    tokens, targets = torch.randint(0, 300, (2, 2, 64), generator=generator)
    model = random_model(config, seed=2).train()
    twin = twin_of(model)
    seen = Recorded(twin, config)
    logits = twin(tokens, use_cache=False).logits
    nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
    gradients = split(model, {name: p.grad for name, p in twin.named_parameters()})
    max_logits = torch.stack(seen.max_logits)
    tau = float(max_logits.median())
    expected = expected_step(model, gradients, max_logits, tau)

    our_step(model, tokens, targets, tau)
    ours = {name: p.detach() for name, p in model.named_parameters()}
    errors = {}
    for name, gradient in gradients.items():
        difference = (ours[name] - expected[name]).abs()
        if name.endswith(("embed_tokens.weight", "lm_head.weight")):
            # AdamW's first step is the gradient's sign: rounding decides it where that is nothing.
            difference = difference[gradient.abs() > 1e-4 * gradient.abs().max()]
        errors[name] = float(difference.max())
    with capsys.disabled():
        print(f"\n  max weight error after a step {max(errors.values()):.1e} (rate {LR})")
    assert ours.keys() == expected.keys()
    assert max(errors.values()) < 1e-4, max(errors, key=errors.__getitem__)
    if config.has_router_bias:
        before = random_model(config, seed=2)
        for layer, load in seen.loads.items():
            change = SPEED * (load.float().mean() - load).sign()
            old, new = (m.decoder_layers[layer].mlp.gate for m in (before, model))
            wanted = old.e_score_correction_bias + change
            torch.testing.assert_close(new.e_score_correction_bias, wanted)
