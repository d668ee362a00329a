"""`openk2 data corpus` and `openk2 data verify`: what they print and how they exit."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from openk2.chat import train_tokenizer
from openk2.cli.data import app
from openk2.config import read_recipe
from openk2.data.corpus import CorpusRecipe

RECIPE = """
tokenizer = "{folder}/tokenizer"
length = 64
[[sources]]
domain = "web"
kind = "jsonl"
path = "{folder}/texts.jsonl"
"""
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "corpus.md"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe of 8 texts, two of them equal."""
    texts = [f"{n} stones in the river" for n in range(7)]
    train_tokenizer(texts, 512 + 8).save(tmp_path / "tokenizer")
    rows = [json.dumps({"text": text}) for text in [*texts, texts[3]]]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    (tmp_path / "corpus.toml").write_text(RECIPE.format(folder=tmp_path))
    return tmp_path


def test_a_corpus_is_made_summed_up_and_verified(folder: Path) -> None:
    made = run("corpus", folder / "corpus.toml", "--out", folder / "out")
    assert made.exit_code == 0, made.output
    assert re.search(r"web +│ +7 │ +1 │", made.stdout)
    again = json.loads(
        run("corpus", folder / "corpus.toml", "--out", folder / "out", "--json").stdout
    )
    assert again["domains"][0] | {"documents": 7, "gone": 1, "shards": 1} == again["domains"][0]
    for place in (folder / "out", folder / "out" / "web"):
        checked = json.loads(run("verify", place, "--json").stdout)
        assert checked == {"shards": 1, "tokens": again["domains"][0]["tokens"], "faults": []}


def test_damage_is_exit_status_1_with_the_file(folder: Path) -> None:
    assert run("corpus", folder / "corpus.toml", "--out", folder / "out").exit_code == 0
    shard = folder / "out" / "web" / "000000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    checked = run("verify", folder / "out")
    assert checked.exit_code == 1
    assert f"error: {shard} is damaged" in checked.stderr
    assert json.loads(run("verify", folder / "out", "--json").stdout)["faults"]
    missing = run("verify", folder / "tokenizer")
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)
    assert "holds no manifest.json" in missing.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "jsonl"', 'kind = "json"', "must be one of"),
        ('domain = "web"', 'domain = "a/b"', "it names a folder"),
        ('domain = "web"', 'domain = "web"\nfeild = "x"', "did you mean 'sources[0].field'"),
        ('domain = "web"', 'domain = "web"\nsplit = "x"', "split is set, but a source of kind"),
        ("length = 64", "length = 8", "length is 8: it must be at least 16"),
        ("length = 64", "length = 64\nitem_megabytes = 0", "item_megabytes is 0"),
        ("length = 64", "length = 64\nduplicates = {near = 0.3}", "near is 0.3: it must be from"),
        ("length = 64", "length = 64\nduplicates = {near = 0.8, shingle = 0}", "shingle is 0"),
        ("length = 64", "length = 64\nduplicates = {permutations = 8}", "permutations is 8"),
        ("texts.jsonl", "absent.jsonl", "absent.jsonl does not exist"),
        ("/tokenizer", "/absent", "tiktoken.model"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_status_1(
    folder: Path, old: str, new: str, message: str
) -> None:
    text = (folder / "corpus.toml").read_text()
    (folder / "corpus.toml").write_text(text.replace(old, new))
    refused = run("corpus", folder / "corpus.toml", "--out", folder / "out")
    assert refused.exit_code == 1
    assert message in refused.stderr
    assert (refused.stdout, refused.stderr.count("\n")) == ("", 1)


def test_two_kinds_of_workers_are_a_usage_error(folder: Path) -> None:
    both = run(
        "corpus", folder / "corpus.toml", "--out", folder / "o", "--ray", "auto", "--processes", 2
    )
    assert both.exit_code == 2
    assert "exclude each other" in both.stderr
    absent = run("corpus", folder / "corpus.toml", "--out", folder / "o", "--ray", "127.0.0.1:1")
    assert absent.exit_code == 1
    assert "no Ray cluster at 127.0.0.1:1" in absent.stderr


def test_an_interrupted_run_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("openk2.data.corpus.prepare.pack_item", interrupted)
        stopped = run("corpus", folder / "corpus.toml", "--out", folder / "out")
    assert stopped.exit_code == 130
    assert "the same command goes on" in stopped.stderr
    assert run("corpus", folder / "corpus.toml", "--out", folder / "out").exit_code == 0


def test_the_tutorials_first_recipe_makes_a_corpus_in_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = re.findall(r"```toml\n(tokenizer.*?)```", TUTORIAL.read_text(), re.DOTALL)[0]
    (tmp_path / "docs.toml").write_text(block.replace("**/*.md", "tutorials/*.md"))
    monkeypatch.chdir(TUTORIAL.parents[2])
    made = run("corpus", tmp_path / "docs.toml", "--out", tmp_path / "corpus")
    assert made.exit_code == 0, made.output
    assert run("verify", tmp_path / "corpus").exit_code == 0
    assert list((tmp_path / "corpus" / "docs").glob("*.safetensors"))


def test_the_tutorials_recipe_is_read(tmp_path: Path) -> None:
    _, block = re.findall(r"```toml\n(tokenizer.*?)```", TUTORIAL.read_text(), re.DOTALL)
    (tmp_path / "corpus.toml").write_text(block)
    recipe = read_recipe(tmp_path / "corpus.toml", CorpusRecipe)
    assert [table.domain for table in recipe.sources] == ["web", "code", "mathematics", "knowledge"]
    assert [type(table.open()).__name__ for table in recipe.sources] == [
        "JsonlSource", "TextSource", "ParquetSource", "HuggingFaceSource",
    ]  # fmt: skip
