import json
import lzma
from pathlib import Path

import pytest

from openk2.data import DataError, read_conversations, read_texts


def test_plain_and_compressed_files_read_alike(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in ("ä", "b"))
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    with lzma.open(tmp_path / "a.jsonl.xz", "wt", encoding="utf-8") as file:
        file.write(lines)
    assert list(read_texts(tmp_path / "a.jsonl")) == list(read_texts(tmp_path / "a.jsonl.xz"))


@pytest.mark.parametrize("line", ["{", "[1]", '{"txt": "x"}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(DataError, match=r"bad\.jsonl (line|row) 2"):
        list(read_texts(tmp_path / "bad.jsonl"))


def test_conversations_need_messages(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n')
    with pytest.raises(DataError, match="messages"):
        list(read_conversations(tmp_path / "bad.jsonl"))
