"""Records are read from every published form, and what is broken is named by file and line."""

import gzip
import json
from pathlib import Path

import pytest

from openk2.eval.records import read
from openk2.record import DataError

ROWS = [{"question": "1+1", "answer": "2"}, {"question": "Où?", "answer": "là"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("some.jsonl", LINES.encode()),
        ("some.json", json.dumps(ROWS).encode()),
        ("some.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("some.csv", "question,answer\n1+1,2\nOù?,là\n".encode()),
    ],
)
def test_one_content_in_every_form(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert [dict(record) for record in read(tmp_path, "some*")] == ROWS


def test_an_arrow_stream_is_read_and_its_descriptions_are_not(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pylist(ROWS)
    path = tmp_path / "data-00000-of-00001.arrow"
    with path.open("wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=1)
    for name in ("state.json", "dataset_info.json"):
        (tmp_path / name).write_text("{}")
    assert [dict(record) for record in read(tmp_path, "*")] == ROWS
    path.write_bytes(b"no stream")
    with pytest.raises(DataError, match=r"arrow: not arrow: "):
        list(read(tmp_path, "*"))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'{"question": 1}\n{', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b"[1]", r"a\.jsonl: row 0: int, must be an object"),
        ("a.jsonl", b"\xff\xfe", r"a\.jsonl: .*decode"),
        ("a.jsonl", b"\n", r"a\.jsonl: no rows"),
        ("a.jsonl.gz", b"{}", r"a\.jsonl\.gz: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-9], r"a\.jsonl\.gz: "),
        ("a.csv", b"x,y\n1\n", r"a\.csv:2: 2 fields"),
        ("a.txt", b"{}", "no file matches"),
    ],
)
def test_what_is_broken_is_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=told):
        list(read(tmp_path, "a.*"))
