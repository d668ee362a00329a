"""`openk2 eval canary`: questions in packed rows are found, and the rest is told apart."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from openk2.chat import Tokenizer
from openk2.cli.main import app

LEAKED = "Find the sum of all integer bases b above 9 for which 17 in base b divides 97 in base b."
KEPT = (
    "Let N be the number of ways to seat nine guests at two round tables so that none sits alone."
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Tokenizer([bytes([byte]) for byte in range(256)]).save("vocabulary")
    Path("data/aime2025").mkdir(parents=True)
    questions = [
        {"id": n, "problem": text, "answer": "70"} for n, text in enumerate((LEAKED, KEPT))
    ]
    Path("data/aime2025/test.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    return tmp_path


def pack(*texts: str) -> None:
    Path("texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    invoke("data", "pack", "--tokenizer", "vocabulary", "--text", "texts.jsonl",
           "--length", "512", "--out", "rows.safetensors")  # fmt: skip


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def canary(*more: str, rows: str = "aime-2025,hle", data: str = "data") -> Any:
    where = ("rows.safetensors", "--tokenizer", "vocabulary", "--data", data)
    return invoke("eval", "canary", *where, "--rows", rows, *more)


def test_a_question_in_the_rows_is_found_and_named(folder: Path) -> None:
    pack("A book of other things.", f"Problem 1. {LEAKED.upper()} Solution: 70.")
    found = canary("--json")
    assert found.exit_code == 3, found.output
    report = json.loads(found.stdout)
    [row] = report["rows"]
    assert (row["row"], row["looked_for"], list(row["found"])) == ("aime-2025", 2, ["0"])
    assert "data not available" in report["left_out"]["hle"]
    assert "1 of 2 questions found" in canary().stdout


def test_documents_without_a_question_and_words_across_two_of_them_are_not(folder: Path) -> None:
    half = len(LEAKED) // 2
    pack(LEAKED[:half], LEAKED[half:])
    assert canary(rows="aime-2025").exit_code == 0
    other = Tokenizer([*(bytes([byte]) for byte in range(256)), b"the"])
    other.save("vocabulary")
    refused = canary()
    assert refused.exit_code == 1
    assert "another tokenizer" in refused.stderr


def test_looking_for_nothing_or_not_for_all_that_is_named_is_no_success(folder: Path) -> None:
    pack("A book of other things.")
    nothing = canary("--json", data="nowhere")
    assert (nothing.exit_code, json.loads(nothing.stdout)["rows"]) == (1, [])
    assert nothing.stderr == "error: no row has data: give --data\n"
    part = canary("--json")
    assert (part.exit_code, part.stderr) == (1, "error: not looked for: hle\n")
    assert len(json.loads(part.stdout)["rows"]) == 1
