"""`openk2 data apis` and `openk2 data synthesize --apis`: what they write, print and refuse."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from openk2.cli.data import app
from openk2.data.sources import read_conversations


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def service(number: int) -> dict[str, object]:
    """One provider with three operations on parcels."""
    key = {"name": "parcel_id", "in": "query", "required": True, "schema": {"type": "string"}}
    deeds = ("Gets the parcel.", "Deletes the parcel.", "Lists late parcels.")
    paths = {
        f"/{n}": {"get": {"summary": summary, "parameters": [key] * (n < 2), "responses": {}}}
        for n, summary in enumerate(deeds)
    }
    return {"openapi": "3.0.0", "info": {"x-providerName": f"post{number}.test"}, "paths": paths}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty providers, so that both splits have some, and a broken file."""
    for number in range(40):
        (tmp_path / f"{number}.json").write_text(json.dumps(service(number)))
    (tmp_path / "broken.json").write_text("{")
    return tmp_path


def test_descriptions_become_operations_and_operations_conversations(folder: Path) -> None:
    apis, chats = folder / "out" / "apis.jsonl", folder / "out" / "chats.jsonl"
    result = run("apis", folder, "--out", apis)
    assert result.exit_code == 0, result.output
    assert "120 operations of 40 providers from 40 descriptions" in result.output
    assert "1 document unreadable" in " ".join(result.output.split())
    assert len(apis.read_text().splitlines()) == 120
    for split in ("train", "held_out"):
        made = run("synthesize", "--apis", apis, "--api-share", 1, "--count", 30, "--split", split,
                   "--out", chats)  # fmt: skip
        assert made.exit_code == 0, made.output
        rows = list(read_conversations(chats))
        assert len(rows) == 30
        assert all(len(row["kinds"]) == sum(m["role"] == "assistant" for m in row["messages"])
                   for row in rows)  # fmt: skip


def test_what_is_no_source_and_no_file_of_operations_is_refused_in_one_line(folder: Path) -> None:
    missing = run("apis", folder / "missing", "--out", folder / "apis.jsonl")
    assert missing.exit_code != 0
    assert "missing" in missing.output
    wrong = folder / "wrong.jsonl"
    wrong.write_text("{}\n")
    bad = run("synthesize", "--apis", wrong, "--out", folder / "chats.jsonl")
    assert bad.exit_code != 0
    assert "line 1" in bad.output
