"""Needles in a haystack, inside and beyond the window that a model was trained in, with YaRN.

    python benchmarks/needle.py [--out out/needle] [--trials 64] [--device cpu]

Trains a model of the built-in's shape by `openk2.train`, some 20 minutes of two cores: copying
drills first, then haystacks in windows of 512 tokens, where random ids hide facts, MARK KEY VALUE,
and a question, MARK KEY, wants the value. The trained
weights are then served by the engine with three configurations: as trained; with its positions
merely allowed to go further; with YaRN (arXiv 2309.00071) of the right factor. Each is asked for
one needle of several at ten depths. Chance is 1 in 128. A run that was cut off goes on.
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
from openk2.data.copying import copying_documents
from openk2.data.packing import Document, pack_whole
from openk2.local import LocalModel, find_folder, open_model
from openk2.optim import WarmupStableDecay
from openk2.protocol import SamplingParams
from openk2.record.machine import describe_machine
from openk2.train.loop import train
from openk2.train.recipe import Optimization, Part, Recipe, Shape

WINDOW = 512
KEYS, VALUES, HAY, MARK = (0, 128), (128, 256), (256, 1024), 1024
NEEDLES, MOST_NEEDLES = 6, 24  # in a test; in training, where every answer is a lesson
SHAPE = Shape(
    hidden_size=256,
    num_hidden_layers=5,
    num_attention_heads=2,
    q_lora_rank=128,
    intermediate_size=768,
    moe_intermediate_size=192,
    n_routed_experts=16,
    num_experts_per_tok=2,
    max_position_embeddings=WINDOW,
)


def haystack(
    rng: np.random.Generator, length: int, needles: int, first: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ids [length] that hide `needles` facts (key, value) [needles, 2].

    first: the place of the first fact, in slots of 3 tokens; the others lie anywhere.
    """
    keys = rng.choice(np.arange(*KEYS), needles, replace=False)
    facts = np.stack([keys, rng.integers(*VALUES, needles)], axis=1)
    slots = [int(slot) for slot in rng.permutation(length // 3)[: needles + 1]]
    if first is not None:
        slots = [first, *(slot for slot in slots if slot != first)]
    ids = rng.integers(*HAY, length)
    for slot, fact in zip(slots, facts, strict=False):
        ids[3 * slot : 3 * slot + 3] = MARK, *fact
    return ids, facts


def documents(count: int, seed: int) -> Iterator[Document]:
    """Haystacks of many lengths, each with questions for all its facts; the answers are learned."""
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        needles = int(rng.integers(2, MOST_NEEDLES + 1))
        length = WINDOW if index % 2 else int(rng.integers(12 * needles, WINDOW + 1))
        ids, facts = haystack(rng, length - 3 * needles, needles)
        questions = [(MARK, *fact) for fact in rng.permutation(facts)]
        tokens = [*ids, *np.concatenate(questions)]
        learned = [False] * len(ids) + [False, False, True] * needles
        yield Document([int(token) for token in tokens], learned)


def train_model(out: Path, steps: int, device: str) -> Path:
    """Copying drills, until the heads that copy have formed, then haystacks; the checkpoint.

    What is done is found again, what was cut off goes on.
    """
    tokenizer = find_folder("openk2-nano")
    pad = Tokenizer.load(tokenizer).special("[PAD]")
    drills, rows = out / "drills.safetensors", out / "rows.safetensors"
    if not rows.exists():
        pack_whole(copying_documents(25_000, 1, HAY[1]), WINDOW, pad).save(drills)
        pack_whole(documents(15_000, 1), WINDOW, pad).save(rows)
    common = {
        "tokenizer": tokenizer,
        "rows": 12,
        "micro_rows": 6,
        "optimization": Optimization(bias_speed=0.01, embedding_rate=0.25),
        "checkpoint_every": 50,
        "seed": 5,
    }
    copying = Recipe(
        **common,
        data=(Part(drills, 1.0),),
        schedule=WarmupStableDecay(4e-3, 1.5e-3, 20, 130, 120),
        shape=SHAPE,
        head_from_embedding=4.0,
    )
    start = run(copying, out / "copying", "copying drills", device)
    haystacks = Recipe(
        **common,
        data=(Part(rows, 1.0),),
        schedule=WarmupStableDecay(2e-3, 2e-4, 10, steps // 2, steps - 10 - steps // 2),
        start=start,
    )
    return run(haystacks, out / "haystacks", "haystacks", device)


def run(recipe: Recipe, out: Path, name: str, device: str) -> Path:
    """One stage, with a bar."""
    with Bar() as bar:
        task = bar.add_task(name, total=recipe.steps)
        return train(
            recipe,
            out,
            device=device,
            show=lambda p: bar.update(
                task, completed=p.step, description=f"{name}, loss {p.report.loss:.3f}"
            ),
        )


def recall(folder: Path, length: int, trials: int) -> list[float]:
    """The share of right answers at each of ten depths of a haystack of `length` tokens."""

    async def ask(model: LocalModel, depth: int, trial: int) -> bool:
        rng = np.random.default_rng((7, length, depth, trial))
        slots = length // 3 - 2
        first = int(rng.integers(depth * slots // 10, (depth + 1) * slots // 10))
        ids, facts = haystack(rng, length - 3, NEEDLES, first)
        key, value = (int(part) for part in facts[0])
        prompt = [*(int(token) for token in ids), MARK, key]
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
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--trials", type=int, default=16, help="at each depth")
    parser.add_argument("--factor", type=int, default=4, help="how far beyond the window")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print(describe_machine())
    trained = train_model(options.out, options.steps, options.device)
    far = options.factor * WINDOW
    # K2's own YaRN: both betas 1, the attention's share of mscale in the softmax scale.
    yarn = Yarn(float(options.factor), WINDOW, beta_fast=1.0, beta_slow=1.0, mscale_all_dim=1.0)
    plain = with_positions(trained, options.out / "plain", far, None)
    stretched = with_positions(trained, options.out / "yarn", far, yarn)
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
