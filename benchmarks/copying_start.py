"""Does a start with copying heads outlive training, and at which rate and batch?

    python benchmarks/copying_start.py --out out/copying-start prepare
    python benchmarks/copying_start.py --out out/copying-start run NAME [--circuit induction]
        [--data all-512:0.85 drills-512:0.15] [--start OTHER] [--rate 1e-3] [--rows 4] [--steps 80]
    python benchmarks/copying_start.py --out out/copying-start table NAME...

`prepare` makes 8,000 generated conversations, a vocabulary of 4,096 and packed rows, `run` trains
nano's shape in one thread in float32, and `table` prints what its metrics say (Markdown), with the
share of learned ids that are the likeliest on drills whose names and values nobody saw.
"""

import argparse
import dataclasses
import subprocess
import sys
from pathlib import Path

import torch

from openk2.checkpoint import load_model
from openk2.config import read_recipe
from openk2.data import open_rows
from openk2.data.mixture import Mixture
from openk2.optim import WarmupStableDecay
from openk2.record.metrics import read_metrics
from openk2.train.loop import Progress, train
from openk2.train.loss_weights import LossWeights
from openk2.train.recipe import Part, Recipe

UNSEEN = "unseen-512.safetensors"
RECIPES = Path(__file__).parents[1] / "recipes/nano"
COMMANDS = (
    ("synthesize", "--count", "8000", "--seed", "1", "--out", "chats.jsonl"),
    ("tokenizer", "chats.jsonl", "--megabytes", "6", "--out", "tokenizer"),
    ("pack", "--tokenizer", "tokenizer", "--chat", "chats.jsonl", "--learn-all", "--length", "512",
     "--out", "all-512.safetensors"),
    ("pack", "--tokenizer", "tokenizer", "--chat", "chats.jsonl", "--length", "512",
     "--out", "sft-512.safetensors"),
    ("drills", "--tokenizer", "tokenizer", "--count", "10000", "--out", "drills-512.safetensors"),
    ("drills", "--tokenizer", "tokenizer", "--count", "300", "--min", "64", "--plain-share", "0",
     "--repeated-share", "0", "--seed", "77", "--split", "held_out",
     "--out", UNSEEN),
)  # fmt: skip


def prepare(out: Path) -> None:
    """The data, by the command line's own commands."""
    out.mkdir(parents=True, exist_ok=True)
    for command in COMMANDS:
        subprocess.run(
            [sys.executable, "-m", "openk2.cli.main", "data", *command], cwd=out, check=True
        )


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """nano's recipe, with what the arguments say."""
    out: Path = arguments.out
    recipe = read_recipe(RECIPES / "pretrain.toml", Recipe)
    optimization = dataclasses.replace(
        recipe.optimization, products="float32", full_precision_newton_schulz=True
    )
    warmup = min(10, arguments.steps)
    parts = [name.partition(":") for name in arguments.data]
    recipe = dataclasses.replace(
        recipe,
        tokenizer=out / "tokenizer",
        rows=arguments.rows,
        micro_rows=min(arguments.rows, 4),
        checkpoint_every=arguments.steps,
        copying_score_every=10,
        seed=1,
        loss=LossWeights(),
        optimization=optimization,
        schedule=WarmupStableDecay(
            arguments.rate, arguments.rate, warmup, arguments.steps - warmup, 0
        ),
        data=tuple(Part(out / f"{name}.safetensors", float(weight)) for name, _, weight in parts),
    )
    if arguments.start:
        return dataclasses.replace(
            recipe,
            shape=None,
            start=out / "runs" / arguments.start / "checkpoint",
            embedding_std=None,
            head_from_embedding=0.0,
            copying_start=None,
        )
    circuit = None if arguments.circuit == "none" else arguments.circuit
    return dataclasses.replace(recipe, copying_start=circuit)


def show(progress: Progress) -> None:
    """A line a step."""
    report = progress.report
    print(
        f"{progress.step}/{progress.steps} loss {report.loss:.3f} idle {report.idle_experts} "
        f"{progress.tokens_per_second:.0f} tokens/s",
        flush=True,
    )


@torch.no_grad()
def unseen(checkpoint: Path, rows: Path, most: int = 40) -> float:
    """Share of learned ids that are the likeliest, on the first `most` rows of a file."""
    model = load_model(checkpoint, dtype=torch.float32)
    mixture = Mixture([open_rows(rows)], [1.0], 0)
    right = total = 0
    for number in range(min(most, len(open_rows(rows)))):
        batch = mixture.batch_of([number])
        wanted = batch.targets != -100
        logits = model.lm_head(model(batch.tokens, segments=batch.segments)[wanted])
        right += int((logits.argmax(-1) == batch.targets[wanted]).sum())
        total += int(wanted.sum())
    return right / total


def table(out: Path, names: list[str]) -> None:
    """A row for each tenth step of each run, and what the end copies of unseen words."""
    print(
        "| run | step | tokens | loss, last 10 | copied | previous | matching | idle | overload |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in names:
        rows = read_metrics(out / "runs" / name / "metrics.jsonl")
        for index, row in enumerate(rows):
            if "matching" in row:
                losses = [r["loss"] for r in rows[max(0, index - 9) : index + 1]]
                print(
                    f"| {name} | {row['step'] + 1} | {row['tokens']:,} | "
                    f"{sum(losses) / len(losses):.2f} | {row['copying_accuracy']:.3f} | "
                    f"{row['previous_token']:.2f} in {row['previous_token_head']} | "
                    f"{row['matching']:.2f} in {row['matching_head']} | {row['idle_experts']} | "
                    f"{row['load_violation']:.1f} |"
                )
        checkpoint = out / "runs" / name / "checkpoint"
        if checkpoint.exists():
            print(f"| {name} | unseen drills {unseen(checkpoint, out / UNSEEN):.3f} |")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/copying-start"))
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare")
    one = commands.add_parser("run")
    one.add_argument("name")
    one.add_argument(
        "--circuit", choices=("induction", "previous-token", "none"), default="induction"
    )
    one.add_argument("--data", nargs="+", default=["all-512:0.85", "drills-512:0.15"])
    one.add_argument("--start")
    one.add_argument("--rate", type=float, default=1e-3)
    one.add_argument("--rows", type=int, default=4)
    one.add_argument("--steps", type=int, default=80)
    commands.add_parser("table").add_argument("names", nargs="+")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "prepare":
        prepare(arguments.out)
    elif arguments.command == "run":
        train(recipe_of(arguments), arguments.out / "runs" / arguments.name, show=show)
    else:
        table(arguments.out, arguments.names)


if __name__ == "__main__":
    main()
