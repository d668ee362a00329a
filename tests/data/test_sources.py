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


def test_a_file_cut_short_or_not_text_is_named(tmp_path: Path) -> None:
    with lzma.open(tmp_path / "cut.jsonl.xz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": str(n) * 50}) + "\n" for n in range(1000))
    data = (tmp_path / "cut.jsonl.xz").read_bytes()
    for content in (data[:-40], b"plain"):
        (tmp_path / "cut.jsonl.xz").write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.jsonl\.xz cannot be read to its end"):
            list(read_texts(tmp_path / "cut.jsonl.xz"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe4"}\n')
    with pytest.raises(DataError, match=r"latin\.jsonl cannot be read to its end"):
        list(read_texts(tmp_path / "latin.jsonl"))


def test_conversations_need_messages(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n')
    with pytest.raises(DataError, match="messages"):
        list(read_conversations(tmp_path / "bad.jsonl"))
