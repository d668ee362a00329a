"""`openk2 data`: files in, files out, one line for what is wrong with them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from openk2.chat import Tokenizer
from openk2.cli.main import app
from openk2.data import Role, open_rows

WORDS = [f"{name}{number} " for name in ("ship", "star", "sea", "sail") for number in range(80)]


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    file = tmp_path / "novel.txt"
    file.write_text("".join(WORDS * 8))
    return file


def test_a_plain_text_file_becomes_a_vocabulary_and_rows(novel: Path, tmp_path: Path) -> None:
    tokenizer, packed = tmp_path / "tokenizer", tmp_path / "rows.safetensors"
    made = ["data", "tokenizer", str(novel), "--vocab-size", "540", "--out", str(tokenizer)]
    assert CliRunner().invoke(app, made).exit_code == 0
    pack = ["data", "pack", "--tokenizer", str(tokenizer), "--text", str(novel), "--length", "64"]
    assert CliRunner().invoke(app, [*pack, "--out", str(packed)]).exit_code == 0
    held = open_rows(packed)
    rows = [held.row(number) for number in range(len(held))]
    tokens = np.concatenate([row[0][row[1] >= 0] for row in rows]).tolist()
    text = Tokenizer.load(tokenizer).decode(tokens)
    assert text.startswith(novel.read_text())


@pytest.mark.parametrize(
    "arguments",
    [
        ["tokenizer", "absent.jsonl", "--out", "made"],
        ["tokenizer", "odd.jsonl", "--out", "made"],
        ["tokenizer", "short.txt", "--out", "made"],
        ["tokenizer", "short.txt", "--vocab-size", "500", "--out", "made"],
        ["tokenizer", "latin.txt", "--out", "made"],
        ["dialogues", "absent.jsonl", "absent.json", "--out", "made"],
        ["dialogues", "odd.jsonl", "odd.jsonl", "--out", "made"],
        ["dialogues", "odd.jsonl", "empty.json", "--out", "made"],
        ["dialogues", "odd.jsonl", "deep.json", "--out", "made"],
        ["tokenizer", "roles.jsonl", "--out", "made"],
        ["pack", "--tokenizer", "vocabulary", "--chat", "roles.jsonl", "--out", "made"],
        ["synthesize", "--count", "1", "--apis", "deep.json", "--out", "made"],
        ["pack", "--tokenizer", "absent", "--text", "odd.jsonl", "--out", "made"],
        ["synthesize", "--count", "1", "--out", "odd.jsonl/made"],
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.jsonl").write_text(json.dumps({"body": "no text here"}))
    Tokenizer([bytes([byte]) for byte in range(256)]).save("vocabulary")
    Path("empty.json").write_text("[]")
    Path("deep.json").write_text("[" * 100_000 + "]" * 100_000)
    Path("roles.jsonl").write_text(json.dumps({"messages": [{"role": "judge", "content": "x"}]}))
    Path("short.txt").write_text("too short a text for a vocabulary")
    Path("latin.txt").write_bytes("Zürich".encode("latin-1"))
    result = CliRunner().invoke(app, ["data", *arguments])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: ")
    assert not Path("made").exists()


def test_conversations_that_lose_their_ends_are_counted(tmp_path: Path) -> None:
    Tokenizer([bytes([byte]) for byte in range(256)]).save(tmp_path / "vocabulary")
    chats = tmp_path / "chats.jsonl"
    said = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "word " * 30}]
    rows = [{"messages": said[:1]}, {"messages": said}, {"messages": [*said, *said]}]
    chats.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pack = ["data", "pack", "--tokenizer", str(tmp_path / "vocabulary"), "--chat", str(chats)]

    def told(length: int) -> str:
        out = str(tmp_path / "rows.safetensors")
        packed = CliRunner().invoke(app, [*pack, "--length", str(length), "--out", out])
        assert packed.exit_code == 0
        return packed.stderr

    assert "2 of 3 conversations were cut at 150 tokens: give --length " in told(150)
    needed = int(told(150).split("--length ")[1].split()[0])
    assert "1 of 3 conversations were cut" in told(needed - 1)
    assert "conversations" not in told(needed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["synthesize", "--api-share", "1"], "give that file"),
        (["synthesize", "--dense-share", "0.5"], "give that file"),
        (["pack", "--tokenizer", "t", "--text", "a.txt", "--learn-all"], "--learn-all is for"),
        (["pack", "--tokenizer", "t", "--text", "a.txt", "--limit", "-1"], "'--limit'"),
    ],
)
def test_an_option_that_would_not_be_obeyed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("text")
    Tokenizer([bytes([byte]) for byte in range(256)]).save("t")
    refused = CliRunner().invoke(app, ["data", *arguments, "--out", "made"])
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert not Path("made").exists()


def test_reasons_are_for_conversations_and_are_packed_with_them(
    novel: Path, tmp_path: Path
) -> None:
    Tokenizer([bytes([byte]) for byte in range(256)]).save(tmp_path / "vocabulary")
    chats = tmp_path / "chats.jsonl"
    made = ["data", "synthesize", "--count", "20", "--out", str(chats)]
    assert CliRunner().invoke(app, made).exit_code == 0
    pack = ["data", "pack", "--tokenizer", str(tmp_path / "vocabulary"), "--length", "8192"]

    def names(*flags: str) -> int:
        out = tmp_path / f"rows{len(flags)}.safetensors"
        packed = [*pack, "--chat", str(chats), *flags, "--out", str(out)]
        assert CliRunner().invoke(app, packed).exit_code == 0
        rows = open_rows(out)
        return sum(int((rows.row(n)[2] == Role.NAME).sum()) for n in range(len(rows)))

    assert names("--say-why", "1") > 2 * names() > 0
    refused = CliRunner().invoke(
        app, [*pack, "--text", str(novel), "--say-why", "1", "--out", str(tmp_path / "text")]
    )
    assert refused.exit_code == 2
    assert "--say-why is for --chat files" in refused.stderr


def test_choices_that_fit_into_no_drill_are_a_usage_error(tmp_path: Path) -> None:
    Tokenizer([bytes([byte]) for byte in range(256)]).save(tmp_path)
    asked = ["data", "drills", "--tokenizer", str(tmp_path), "--out", str(tmp_path / "made")]
    refused = CliRunner().invoke(app, [*asked, "--count", "2", "--choosing-share", "1"])
    assert refused.exit_code == 2
    assert "give --max" in refused.stderr
    assert not (tmp_path / "made").exists()
