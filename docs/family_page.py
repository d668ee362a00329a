"""Writes the tables of docs/models/family.md: what each public model of K2's family needs.

python docs/family_page.py            write them into the page
python docs/family_page.py --check    exit with 1 if they are not what the code says

Configs are those of tests/architecture/published.toml, sizes are counted by `checkpoint`, machines
are planned by `plan`. The text around the tables is written by hand.
"""

import json
import re
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from openk2.architecture import ModelConfig, count_parameters
from openk2.checkpoint import Format, Weights, resident_bytes, stored_bytes
from openk2.plan import (
    ServedSubject,
    ServingDemand,
    ServingWork,
    find_engine,
    find_node,
    find_served,
    plan_serving,
)
from openk2.record import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from published import published_config  # noqa: E402  in tests/

PAGE = ROOT / "docs/models/family.md"
FORMS: tuple[Weights, ...] = ("bf16", "block-fp8", "int4")
GPUS = [1, 2, 4, 8, 16, 32]
CONTEXT = 32_768


@dataclass(frozen=True)
class Row:
    """names: as users say them. config: the entry of published.toml that has the network's shapes.

    own: the form that is published. window: in tokens, where it is not that entry's.
    """

    names: str
    config: str
    own: Weights
    window: int | None = None


ROWS = (
    Row("Kimi-K2-Base, -Instruct", "Kimi-K2-Instruct", "block-fp8"),
    Row("Kimi-K2-Instruct-0905", "Kimi-K2-Instruct", "block-fp8", 262_144),
    Row("Kimi-K2-Thinking", "Kimi-K2-Instruct", "int4", 262_144),
    Row("Kimi-K2.5, K2.6, K2.7-Code", "Kimi-K2-Instruct", "int4", 262_144),
    Row("Moonlight-16B-A3B, -Instruct", "Moonlight-16B-A3B", "bf16"),
    Row("DeepSeek-V3, R1, V3.1", "DeepSeek-V3", "block-fp8"),
    Row("DeepSeek-V2-Lite, -Chat", "DeepSeek-V2-Lite-Chat", "bf16"),
)


def config_of(row: Row) -> ModelConfig:
    """The network of a row, as its publisher stores it."""
    config = ModelConfig.from_dict(published_config(row.config))
    return replace(config, max_position_embeddings=row.window or config.max_position_embeddings)


def sizes() -> Table:
    """Parameters; bytes on disk and in memory in each form, the published one in bold."""
    rows = []
    for row in ROWS:
        count = count_parameters(config_of(row))
        cells = []
        for form in FORMS:
            cell = size_cell(row.config, form)
            cells.append(f"**{cell}**" if form == row.own else cell)
        parameters = f"{count.total / 1e9:,.1f}, {count.active / 1e9:,.1f}"
        rows.append((row.names, parameters, *cells))
    header = ("models", "parameters, active (G)", *(f"{form}: disk, memory" for form in FORMS))
    return Table(header, tuple(rows))


@cache
def size_cell(name: str, form: Weights) -> str:
    """`disk GB, memory GiB` of a network in a form."""
    published = ModelConfig.from_dict(published_config(name))
    config = replace(published, quantization=Format.named(form).quantization)
    held = (resident_bytes if form == "bf16" else stored_bytes)(config, torch.bfloat16)
    return f"{subject_of(name, form).bytes / 1e9:,.1f} GB, {held / 2**30:,.1f} GiB"


def caches() -> Table:
    """The latent cache in bfloat16."""
    rows = []
    for row in ROWS:
        config = config_of(row)
        token = config.num_hidden_layers * config.latent_dim * 2
        window = config.max_position_embeddings
        whole = f"{token * window / 2**30:,.1f} GiB"
        rows.append((row.names, f"{token:,}", f"{window:,}", whole))
    return Table(("models", "bytes a token", "window", "the whole window"), tuple(rows))


def machines() -> Table:
    """The fewest GPUs that hold the published form under vLLM's rules."""
    rows = []
    for row in ROWS:
        cells = [fewest_gpus(row.config, row.own, name) for name in ("h200", "h100", "a100")]
        rows.append((row.names, row.own, *cells))
    return Table(("models", "form", "H200 (141 GB)", "H100 (80 GB)", "A100 (80 GB)"), tuple(rows))


def subject_of(name: str, form: Weights) -> ServedSubject:
    """A network for the planner."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(published_config(name)), encoding="utf-8")
        return find_served(str(file), form)


@cache
def fewest_gpus(name: str, form: Weights, machine: str) -> str:
    """`16, DP16 EP16`: of the GPUs in GPUS the fewest that hold it, and the layout."""
    subject = subject_of(name, form)
    context = min(CONTEXT, subject.network.max_position_embeddings)
    demand = ServingDemand(context, 1, ServingWork(4000, 1000), 2, None)
    for count in GPUS:
        plan = plan_serving(subject, find_node(machine), find_engine("vllm"), demand, [count])
        if plan.best is not None:
            return f"{count}, {plan.best.name}" if count > 1 else "1"
    return f"more than {GPUS[-1]}"


def page(text: str) -> str:
    """The page with its tables as the code has them now."""
    for name, table in (("sizes", sizes), ("caches", caches), ("machines", machines)):
        marks = re.compile(rf"(<!-- {name} -->\n\n).*?(\n<!-- end -->)", re.DOTALL)
        markdown = table().markdown()
        text, count = marks.subn(lambda found, new=markdown: found[1] + new + found[2], text)
        if count != 1:
            raise ValueError(f"the page has {count} places for the table {name!r}, not one")
    return text


def main() -> None:
    """Write the page, or compare it."""
    text = PAGE.read_text(encoding="utf-8")
    if "--check" not in sys.argv:
        PAGE.write_text(page(text), encoding="utf-8")
    elif text != page(text):
        sys.exit("docs/models/family.md is not what the code says: python docs/family_page.py")


if __name__ == "__main__":
    main()
