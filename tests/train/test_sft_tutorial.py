"""The files of docs/tutorials/sft.md: its conversations pack as it says, its recipe is one."""

import re
from pathlib import Path

from typer.testing import CliRunner

import openk2
from openk2.cli.main import app
from openk2.config import read_recipe
from openk2.train import Recipe

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "sft.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NANO = Path(openk2.__file__).parent / "assets" / "openk2-nano"


def test_the_conversations_pack_as_the_page_says_and_the_recipe_starts_from_the_model(
    tmp_path: Path,
) -> None:
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    chats, rows = tmp_path / "chats.jsonl", tmp_path / "chats.safetensors"
    shell = next(text for kind, text in blocks if kind == "sh")
    chats.write_text(shell.partition("<<'END'\n")[2].removesuffix("END\n"))
    command = ["data", "pack", "--tokenizer", str(NANO), "--chat", str(chats), "--length", "512"]
    packed = CliRunner().invoke(app, [*command, "--out", str(rows)])
    printed = next(text for kind, text in blocks if kind == "text")
    assert printed.partition(", in ")[0] in packed.output

    recipe = tmp_path / "shop.toml"
    recipe.write_text(next(text for kind, text in blocks if kind == "toml"))
    read = read_recipe(recipe, Recipe)
    assert read.start == read.tokenizer == Path("src/openk2/assets/openk2-nano")
