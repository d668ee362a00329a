"""docs/models/family.md: its tables are what the code counts, and near what is published."""

import re
import runpy
from pathlib import Path

import pytest

from openk2.architecture import ModelConfig, count_parameters
from published import published_config

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEXT = (DOCS / "models/family.md").read_text(encoding="utf-8")


def test_the_tables_are_what_the_script_writes() -> None:
    script = runpy.run_path(str(DOCS / "family_page.py"))
    assert script["page"](TEXT) == TEXT


@pytest.mark.parametrize(
    ("model", "form", "gigabytes"),
    [
        # Stated by the publishers, docs/design/serving.md and tests/serving_facts.toml.
        ("Kimi-K2-Base, -Instruct", "block-fp8", 1030),
        ("Kimi-K2-Thinking", "int4", 594),
        ("Kimi-K2.5, K2.6, K2.7-Code", "int4", 595),
        ("Moonlight-16B-A3B, -Instruct", "bf16", 32),
    ],
)
def test_the_published_form_is_as_large_as_published(
    model: str, form: str, gigabytes: float
) -> None:
    heading = next(line for line in TEXT.splitlines() if line.startswith("| models | parameters"))
    column = [cell.strip() for cell in heading.split("|")].index(f"{form}: disk, memory")
    start = f"| {model} | "
    row = next(line for line in TEXT.splitlines() if line.startswith(start) and " GB, " in line)
    cell = row.split("|")[column].strip()
    disk, memory = re.fullmatch(r"\*\*([\d,.]+) GB, ([\d,.]+) GiB\*\*", cell).groups()
    assert float(disk.replace(",", "")) == pytest.approx(gigabytes, rel=0.01)
    # Nothing is held twice and nothing dequantized.
    assert float(memory.replace(",", "")) * 2**30 / 1e9 == pytest.approx(gigabytes, rel=0.01)


@pytest.mark.parametrize("name", ["Kimi-K2-Thinking", "Kimi-K2.5", "Kimi-K2.6", "Kimi-K2.7-Code"])
def test_the_rows_of_k2_have_its_shapes(name: str) -> None:
    """The page counts them by Kimi-K2-Instruct's config, with the window that it states."""
    own = ModelConfig.from_dict(published_config(name))
    k2 = ModelConfig.from_dict(published_config("Kimi-K2-Instruct"))
    assert count_parameters(own) == count_parameters(k2)
    assert own.latent_dim == k2.latent_dim
    assert f"{own.max_position_embeddings:,}" == "262,144"
