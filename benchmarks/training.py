"""Our training step against a loop of transformers' DeepseekV3ForCausalLM, on the same weights.

    python benchmarks/training.py [--shape nano|small] [--layers N] [--rows 12] [--micro-rows 6]
        [--length 512] [--precision float32|bfloat16] [--rounds 3]
        [--processor-time]

Both sides: the same packed rows (documents of 40 to 500 tokens, attention within a document), the
same micro-batches, Muon on every hidden matrix with gate, up and down apart, AdamW on the rest,
gradient clipping. Ours does beside that what K2 asks for: max logits, QK-Clip, expert balance.

Theirs: `sdpa` or `eager` attention and `grouped_mm` or `eager` experts, whichever pair passes
forward and backward fastest here, or the one that --theirs names (`batched_mm` copies the weights
of its experts for each token: gigabytes a layer); torch.optim.Muon over slices of their stacks. In
float32 its iteration is made float32 too (see muon.py): as it is it would be far slower still on a
processor without bfloat16 products, which is where one would choose float32.

The two take turns in one process; medians. Model operations: 6 a token and activated parameter that
multiplies, and 6 a visible query-key pair, head and dimension of q and v; the share is that of the
machine's rate for a 2048 x 2048 product in the same precision, measured in the same run.
--processor-time: one thread, and the time that it had a processor: for a machine that others use.
"""

import argparse
import json
import statistics
import sys
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
import torch.optim._muon as torchs
from muon import Clock, clock_of, in_float32, product_rate, seconds
from reference import transformers_twin
from shapes import SHAPES
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.cli.memory import keep_freed_memory
from openk2.data.mixture import Batch
from openk2.model import K2Model, Observation
from openk2.optim import MuonClip
from openk2.record.machine import describe_machine
from openk2.train.loss import IGNORED, StepLoss
from openk2.train.passes import MicroBatches
from openk2.train.step import latent_heads, train_step

RATE, DECAY, CLIP = 1e-4, 0.1, 1.0


def packed_rows(config: ModelConfig, rows: int, length: int) -> Batch:
    """Random documents end to end; the last token of each predicts nothing."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(4, config.vocab_size, (rows, length), generator=generator)
    segments, targets = torch.empty_like(tokens), torch.full_like(tokens, IGNORED)
    for row in range(rows):
        start = document = 0
        while start < length:
            size = int(torch.randint(40, 500, (1,), generator=generator))
            end = min(start + size, length)
            segments[row, start:end] = document
            targets[row, start : end - 1] = tokens[row, start + 1 : end]
            start, document = end, document + 1
    return Batch(tokens, segments, targets, (targets != IGNORED).byte())


def positions_of(segments: Tensor) -> Tensor:
    """Each token's place in its document."""
    places = torch.arange(segments.shape[1]).expand_as(segments)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return places - torch.where(begins, places, 0).cummax(dim=1).values


def model_operations(model: K2Model, batch: Batch) -> float:
    """Of one step, forward and backward."""
    config = model.config
    multiplied = sum(
        p.numel() * (config.num_experts_per_tok / config.n_routed_experts if p.ndim == 3 else 1)
        for name, p in model.named_parameters()
        if p.ndim > 1 and "embed_tokens" not in name
    )
    pairs = int((positions_of(batch.segments) + 1).sum()) * config.num_hidden_layers
    widths = config.num_attention_heads * (config.qk_head_dim + config.v_head_dim)
    return 6 * multiplied * batch.tokens.numel() + 6 * pairs * widths


@dataclass
class Theirs:
    """A transformers model with optimizers, as a loop has them."""

    model: torch.nn.Module
    micro_rows: int
    autocast: torch.dtype | None

    def __post_init__(self) -> None:
        self.model.train()
        named = dict(self.model.named_parameters())
        head = [p for n, p in named.items() if "embed_tokens" in n or "lm_head" in n]
        vectors = [p for p in named.values() if p.ndim < 2]
        hidden = [p for p in named.values() if p.ndim > 1 and all(p is not h for h in head)]
        self.slices = [(s, p, part) for p in hidden for s, part in matrices_of(p)]
        self.muon = torch.optim.Muon(
            [s for s, _, _ in self.slices],
            lr=RATE,
            weight_decay=DECAY,
            adjust_lr_fn="match_rms_adamw",
        )
        groups = [{"params": head}, {"params": vectors, "weight_decay": 0.0}]
        self.adamw = torch.optim.AdamW(
            groups, lr=RATE, betas=(0.9, 0.95), weight_decay=DECAY, fused=True
        )

    def use(self, attention: str, experts: str) -> None:
        """Compute by these implementations from now on."""
        self.model.set_attn_implementation(attention)
        self.model.set_experts_implementation(experts)

    def gradients(self, batch: Batch) -> None:
        """Forward and backward; positions that restart tell their model where documents begin."""
        positions, learned = positions_of(batch.segments), int((batch.targets != IGNORED).sum())
        parts = (x.split(self.micro_rows) for x in (batch.tokens, positions, batch.targets))
        for tokens, places, targets in zip(*parts, strict=True):
            with torch.autocast("cpu", self.autocast, enabled=self.autocast is not None):
                logits = self.model(tokens, position_ids=places, use_cache=False).logits
                flat = logits.flatten(0, 1).float()
                loss = F.cross_entropy(flat, targets.flatten(), reduction="sum") / learned
            loss.backward()

    def update(self) -> None:
        """Clip gradients and step."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        for matrix, parameter, part in self.slices:
            matrix.grad = parameter.grad[part]
        self.muon.step()
        self.adamw.step()
        self.model.zero_grad()

    def step(self, batch: Batch) -> None:
        """One whole step."""
        self.gradients(batch)
        self.update()


def matrices_of(parameter: Tensor) -> list[tuple[Tensor, tuple[object, ...]]]:
    """Parameters that share a parameter's memory, a matrix each, and which part of it each is."""
    if parameter.ndim == 2:
        return [(torch.nn.Parameter(parameter.detach()), (...,))]
    count, rows, columns = parameter.shape
    # gate_up_proj [E, 2 inner, hidden] holds two matrices an expert, down_proj one.
    halves = [slice(0, rows // 2), slice(rows // 2, rows)] if rows < 2 * columns else [slice(None)]
    return [
        (torch.nn.Parameter(parameter.detach()[e, half]), (e, half))
        for e in range(count)
        for half in halves
    ]


def fastest(theirs: Theirs, batch: Batch, clock: Clock) -> dict[str, float]:
    """Seconds of a forward and backward pass by each pair of implementations; uses the best."""
    micro = Batch(*(column[: theirs.micro_rows] for column in batch.columns))
    found = {}
    for attention in ("sdpa", "eager"):
        for experts in ("grouped_mm", "eager"):
            try:
                theirs.use(attention, experts)
                theirs.gradients(micro)
                found[f"{attention} {experts}"] = seconds(lambda: theirs.gradients(micro), clock)
            except (RuntimeError, ValueError, NotImplementedError) as error:
                print(f"{attention} {experts}: {error}", file=sys.stderr)
            theirs.model.zero_grad()
    theirs.use(*min(found, key=found.__getitem__).split())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="nano")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--micro-rows", type=int, default=6)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--theirs", help="such as 'eager grouped_mm'")
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clock = clock_of(options.processor_time)
    keep_freed_memory()
    config = SHAPES[options.shape]
    config = replace(config, num_hidden_layers=options.layers or config.num_hidden_layers)
    dtype = getattr(torch, options.precision)
    autocast = None if dtype is torch.float32 else dtype
    if autocast is None:
        torchs._zeropower_via_newtonschulz = in_float32
    model = K2Model(config).initialize(0)
    batch = packed_rows(config, options.rows, options.length)
    theirs = Theirs(transformers_twin(model), options.micro_rows, autocast)
    optimizer = MuonClip(model.named_parameters(), lr=RATE, weight_decay=DECAY, nesterov=True)
    passes = MicroBatches(model, options.micro_rows, autocast)

    def gradients() -> Tensor:
        learned = int((batch.targets != IGNORED).sum())
        return passes.gradients(batch, StepLoss(learned), Observation(config))

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()

    report: list[float] = []

    def step() -> None:
        report.append(
            train_step(model, optimizer, batch, passes, grad_clip=CLIP, bias_speed=0.001).loss
        )

    if options.theirs:
        theirs.use(*options.theirs.split())
    tried = {} if options.theirs else fastest(theirs, batch, clock)
    step(), theirs.step(batch)
    sides = {
        "openk2_step": step,
        "theirs_step": lambda: theirs.step(batch),
        "openk2_gradients": gradients,
        "openk2_update": update,
        "theirs_gradients": lambda: theirs.gradients(batch),
        "theirs_update": theirs.update,
    }
    rounds = [
        {name: seconds(side, clock) for name, side in sides.items()} for _ in range(options.rounds)
    ]
    took = {name: statistics.median(times[name] for times in rounds) for name in sides}
    tokens, operations = batch.tokens.numel(), 1e-9 * model_operations(model, batch)
    rate = product_rate(dtype, 2048, clock)
    result = {
        "parameters": sum(p.numel() for p in model.parameters()),
        **{f"{name}_s": value for name, value in took.items()},
        "openk2_tokens_per_s": tokens / took["openk2_step"],
        "theirs_tokens_per_s": tokens / took["theirs_step"],
        "ratio": took["theirs_step"] / took["openk2_step"],
        "ratio_gradients": took["theirs_gradients"] / took["openk2_gradients"],
        "ratio_update": took["theirs_update"] / took["openk2_update"],
        "model_gflop": operations,
        "gflops_product": rate,
        "openk2_share_gradients": operations / took["openk2_gradients"] / rate,
        "openk2_share_step": operations / took["openk2_step"] / rate,
        "theirs_share_gradients": operations / took["theirs_gradients"] / rate,
        "clipping_share": clipping_seconds(model, optimizer, batch, clock) / took["openk2_step"],
        "last_loss": report[-1],
    }
    if options.json:
        print(json.dumps({"machine": describe_machine(), **vars(options), **result, **tried}))
        return
    print(describe_machine(), options)
    for name, value in (*tried.items(), *result.items()):
        print(f"{name:>26} {value:,.4g}")


@torch.no_grad()
def clipping_seconds(model: K2Model, optimizer: MuonClip, batch: Batch, clock: Clock) -> float:
    """What a step spends on max logits (with the experts' load, which is seen beside them) and on
    QK-Clip if it shrinks every head. The former: a forward pass with and without."""

    def forward(observation: Observation | None) -> None:
        model(batch.tokens, segments=batch.segments, observation=observation)

    def clip() -> None:
        heads, above = latent_heads(model), torch.full_like(seen.max_logits, 1.01 * optimizer.tau)
        optimizer.clip(heads, above)

    seen = Observation(model.config)
    forward(seen)
    pairs = [
        (seconds(lambda: forward(seen), clock), seconds(lambda: forward(None), clock))
        for _ in range(7)
    ]
    seeing = min(with_it for with_it, _ in pairs) - min(without for _, without in pairs)
    return seeing + min(seconds(clip, clock) for _ in range(5))


if __name__ == "__main__":
    main()
