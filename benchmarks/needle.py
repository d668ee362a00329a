"""A needle in a haystack, inside and beyond the window that a model was trained in, with YaRN.

    python benchmarks/needle.py [--out out/needle] [--trials 16] [--device cpu]

Trains a small model (K2's head geometry) by `openk2.train`, some ten minutes of two cores, in
windows of 512 tokens: random ids hide MARK VALUE, and MARK at the end asks for the value. Other
values lie about without a mark. The trained weights are then served by the engine with three
configurations: as trained; with positions that merely go on; with YaRN (arXiv 2309.00071) of the
right factor; the needle at ten depths. Chance is 1 in 128. A run that was cut off goes on.
"""

import argparse
import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import Progress as Bar

from openk2.architecture import ModelConfig, Yarn
from openk2.chat import Tokenizer
from openk2.data.packing import Document, pack_whole
from openk2.optim import WarmupStableDecay
from openk2.pretrained import LocalModel, find_folder, open_model
from openk2.protocol import SamplingParams
from openk2.record.machine import describe_machine
from openk2.train.loop import train
from openk2.train.recipe import DataPart, NetworkShape, Optimization, Recipe

WINDOW = 512
VALUES, HAY, MARK = 128, 1024, 1024  # ids below VALUES, then below HAY, then the mark itself
DECOYS = 0.03  # of the hay: values that no mark precedes
SHAPE = NetworkShape(
    hidden_size=128,
    num_hidden_layers=3,
    num_attention_heads=2,
    q_lora_rank=96,
    intermediate_size=384,
    moe_intermediate_size=96,
    n_routed_experts=8,
    num_experts_per_tok=2,
    max_position_embeddings=WINDOW,
)


def haystack(rng: np.random.Generator, length: int, place: int) -> tuple[list[int], int]:
    """A prompt of `length` ids, MARK and a value at `place`, MARK at its end; and the value."""
    hay = rng.integers(VALUES, HAY, length)
    decoys = rng.random(length) < DECOYS
    hay[decoys] = rng.integers(0, VALUES, decoys.sum())
    value = int(rng.integers(0, VALUES))
    hay[place : place + 2] = MARK, value
    hay[-1] = MARK
    return [int(token) for token in hay], value


def documents(count: int, seed: int) -> Iterator[Document]:
    """Haystacks of all lengths, short ones as often as long ones; only the answer is learned."""
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        length = int(8 * (WINDOW / 8) ** rng.random()) - 1
        ids, value = haystack(rng, length, int(rng.integers(0, length - 2)))
        yield Document([*ids, value], [False] * length + [True])


def train_model(out: Path, steps: int, device: str) -> Path:
    """Train, or go on, or find that it is done; the checkpoint."""
    tokenizer = find_folder("openk2-nano")
    rows = out / "rows.safetensors"
    if not rows.exists():
        pad = Tokenizer.load(tokenizer).special("[PAD]")
        pack_whole(documents(90 * steps, 1), WINDOW, pad).save(rows)
    recipe = Recipe(
        tokenizer=tokenizer,
        data=(DataPart(rows, 1.0),),
        schedule=WarmupStableDecay(3e-3, 3e-4, 20, steps // 2, steps - 20 - steps // 2),
        rows=16,
        micro_rows=16,
        optimization=Optimization(bias_speed=0.01),
        shape=SHAPE,
        checkpoint_every=100,
    )
    with Bar() as bar:
        task = bar.add_task("training", total=steps)
        return train(
            recipe,
            out,
            device=device,
            show=lambda p: bar.update(
                task, completed=p.step, description=f"loss {p.report.loss:.3f}"
            ),
        )


def recall(folder: Path, length: int, trials: int) -> list[float]:
    """The share of right answers at each of ten depths of a haystack of `length` tokens."""

    async def ask(model: LocalModel, depth: int, trial: int) -> bool:
        rng = np.random.default_rng((7, length, depth, trial))
        room = length - 3
        place = int(rng.integers(depth * room // 10, (depth + 1) * room // 10))
        prompt, value = haystack(rng, length, place)
        params = SamplingParams(1, temperature=0)
        chunks = [chunk async for chunk in model.engine.generate(prompt, params)]
        return chunks[0].token_ids == (value,)

    async def run(model: LocalModel) -> list[float]:
        return [
            float(np.mean(await asyncio.gather(*(ask(model, depth, i) for i in range(trials)))))
            for depth in range(10)
        ]

    with open_model(folder, max_batch=8) as model:
        return asyncio.run(run(model))


def with_positions(folder: Path, new: Path, length: int, yarn: Yarn | None) -> Path:
    """The checkpoint with a config that allows `length` positions."""
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(folder, new)
    config = replace(ModelConfig.read(folder), max_position_embeddings=length, rope_scaling=yarn)
    (new / "config.json").write_text(json.dumps(config.to_dict()))
    return new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/needle"))
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--trials", type=int, default=16, help="at each depth")
    parser.add_argument("--factor", type=int, default=4, help="how far beyond the window")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print(describe_machine())
    trained = train_model(options.out, options.steps, options.device)
    far = options.factor * WINDOW
    # K2's own YaRN: both betas 1, the attention's share of mscale in the softmax scale.
    yarn = Yarn(float(options.factor), WINDOW, beta_fast=1.0, beta_slow=1.0, mscale_all_dim=1.0)
    plain = with_positions(trained, options.out / "plain", far + 1, None)
    stretched = with_positions(trained, options.out / "yarn", far + 1, yarn)
    rows = [
        ("as trained", plain, WINDOW),
        (f"YaRN factor {options.factor}", stretched, WINDOW),
        ("positions continued", plain, far),
        (f"YaRN factor {options.factor}", stretched, far),
    ]
    print("| config | length | recall | by depth, beginning to end |\n|---|---|---|---|")
    for name, folder, length in rows:
        shares = recall(folder, length, options.trials)
        by_depth = " ".join(f"{share:.0%}" for share in shares)
        print(f"| {name} | {length} | {np.mean(shares):.1%} | {by_depth} |", flush=True)


if __name__ == "__main__":
    main()
