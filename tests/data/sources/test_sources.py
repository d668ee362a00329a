"""Every kind of source gives the same documents, however it is cut, and names what is wrong."""

import gzip
import json
import lzma
import re
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from openk2.data import DataError, read_conversations, read_texts
from openk2.data.sources import (
    HuggingFaceSource,
    JsonlSource,
    ParquetSource,
    Source,
    TextDocument,
    TextSource,
)

TEXTS = [f"Document {n}: ä 漢字\n" + "word " * (n % 7) for n in range(40)]


def jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def write_zst(path: Path, content: bytes) -> None:
    with pyarrow.output_stream(str(path), compression="zstd") as file:
        file.write(content)


WRITERS = {
    ".jsonl": Path.write_bytes,
    ".jsonl.xz": lambda path, content: path.write_bytes(lzma.compress(content)),
    ".jsonl.gz": lambda path, content: path.write_bytes(gzip.compress(content)),
    ".jsonl.zst": write_zst,
}


def read_all(source: Source, size: int) -> list[TextDocument]:
    """Every document, by way of spans of `size` bytes."""
    spans = [span for place in source.places() for span in source.cut(place, size)]
    return [text for span in spans for text in source.read(span)]


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("size", [1, 150, 1000, 10**6])
def test_a_jsonl_file_gives_its_lines_however_it_is_cut(
    tmp_path: Path, ending: str, size: int
) -> None:
    file = tmp_path / f"a{ending}"
    WRITERS[ending](file, jsonl(TEXTS))
    found = read_all(JsonlSource(file), size)
    assert found == [TextDocument(f"{file}:{n}", text) for n, text in enumerate(TEXTS, 1)]


@given(
    lines=st.lists(st.sampled_from([b'{"text": "x"}', b'{"text": "longer text"}', b"", b" "])),
    ended=st.booleans(),
    size=st.integers(1, 60),
)
@settings(max_examples=80, deadline=None)
def test_spans_are_whole_lines_that_cover_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool, size: int
) -> None:
    content = b"\n".join(lines) + (b"\n" if ended else b"")
    file = tmp_path_factory.mktemp("cut") / "a.jsonl"
    file.write_bytes(content)
    spans = JsonlSource(file).cut(str(file), size)
    assert [span.begin for span in spans] == [0, *(span.end for span in spans)][: len(spans)]
    assert (spans[-1].end if spans else 0) == len(content)
    for span in spans:
        assert span.first == content[: span.begin].count(b"\n")
        assert span.begin == 0 or content[span.begin - 1 : span.begin] == b"\n"
    for span in spans[:-1]:
        assert content.rfind(b"\n", span.begin, span.end - 1) < span.begin + size - 1


def test_a_cut_finds_every_line_across_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openk2.data.sources.jsonl.BLOCK", 13)
    file = tmp_path / "a.jsonl"
    file.write_bytes(jsonl(TEXTS))
    assert [text.text for text in read_all(JsonlSource(file), 200)] == TEXTS


def test_a_folder_gives_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, text in (("b.txt", "second"), ("a/z.txt", "first"), ("c.md", "not asked for")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [text.text for text in read_all(TextSource(tmp_path), 1)] == ["first", "second"]
    assert [t.text for t in read_all(TextSource(tmp_path, "*.md"), 1)] == ["not asked for"]
    with pytest.raises(DataError, match=r"holds no file that matches '\*\.rst'"):
        TextSource(tmp_path, "*.rst").places()
    with pytest.raises(DataError, match="does not exist"):
        TextSource(tmp_path / "absent").places()


def test_a_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"fine\nna\xefve")
    with pytest.raises(DataError, match=r"latin\.txt line 2 is not UTF-8"):
        read_all(TextSource(tmp_path), 1)


def test_parquet_gives_its_rows_however_it_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    table = pyarrow.table({"body": TEXTS, "other": list(range(len(TEXTS)))})
    parquet.write_table(table, file, row_group_size=7)
    source = ParquetSource(file, field="body")
    expected = [TextDocument(f"{file}:{n}", text) for n, text in enumerate(TEXTS, 1)]
    assert read_all(source, 10**6) == read_all(source, 1) == expected
    assert len(source.cut(str(file), 1)) == 6
    assert len(source.cut(str(file), 10**6)) == 1


def test_wrong_parquet_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["fine", None]}), file)
    with pytest.raises(DataError, match=r"a\.parquet has no column 'body' \(its columns: text\)"):
        read_all(ParquetSource(file, field="body"), 1)
    with pytest.raises(DataError, match=r"a\.parquet row 2: column 'text' is NoneType"):
        read_all(ParquetSource(file), 1)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.parquet is not a parquet file"):
        read_all(ParquetSource(file), 1)


def test_a_hugging_face_dataset_gives_its_rows_saved_or_as_data_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    table = datasets.Dataset.from_dict({"text": TEXTS, "other": TEXTS})
    table.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"test": table}).save_to_disk(tmp_path / "splits")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "train.jsonl").write_bytes(jsonl(TEXTS))
    for folder, split in (("saved", "train"), ("splits", "test"), ("files", "train")):
        source = HuggingFaceSource(str(tmp_path / folder), split=split)
        assert [text.text for text in read_all(source, 300)] == TEXTS
        assert len(source.cut(source.dataset, 300)) > 3
        assert source.state("") == source.state("")
    with pytest.raises(DataError, match="has no split 'train'"):
        HuggingFaceSource(str(tmp_path / "splits")).cut("", 1)
    with pytest.raises(DataError, match=r"has no column 'body' \(its columns: text, other\)"):
        HuggingFaceSource(str(tmp_path / "saved"), field="body").cut("", 1)
    with pytest.raises(DataError, match="cannot be loaded"):
        HuggingFaceSource(str(tmp_path / "absent")).cut("", 1)


@pytest.mark.parametrize("library", ["pyarrow", "datasets"])
def test_a_library_that_is_absent_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(b"")
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, library, None)
    sources: dict[str, list[Source]] = {
        "pyarrow": [ParquetSource(tmp_path), JsonlSource(tmp_path)],
        "datasets": [HuggingFaceSource("some/name")],
    }
    for source in sources[library]:
        with pytest.raises(DataError, match=re.escape("pip install 'openk2[data]'")):
            read_all(source, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2 is not JSON"),
        (b"[1]", "line 2 is not a JSON object"),
        (b'{"txt": "x"}', r"line 2 has no string field 'text' \(its fields: txt\)"),
        (b'{"text": "\xe4"}', "line 2 is not JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(DataError, match=rf"bad\.jsonl {message}"):
        list(read_texts(tmp_path / "bad.jsonl"))
    with pytest.raises(DataError, match=rf"bad\.jsonl {message}"):
        read_all(JsonlSource(tmp_path), 5)


@pytest.mark.parametrize("ending", [".jsonl.xz", ".jsonl.gz", ".jsonl.zst"])
def test_a_compressed_file_cut_short_or_not_compressed_is_named(
    tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"cut{ending}"
    WRITERS[ending](file, jsonl([str(n) * 50 for n in range(1000)]))
    data = file.read_bytes()
    for content in (data[: len(data) // 2], b"plain"):
        file.write_bytes(content)
        for read in (lambda: list(read_texts(file)), lambda: read_all(JsonlSource(file), 10**4)):
            with pytest.raises(DataError, match=r"cut\.jsonl\.\w+ cannot be read to its end"):
                read()


def test_conversations_need_messages(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n')
    with pytest.raises(DataError, match=r"line 1 has no list field 'messages'"):
        list(read_conversations(tmp_path / "bad.jsonl"))


ASKED = {"role": "user", "content": "Is it raining?"}
CALLED = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
THOUGHT = {"role": "assistant", "content": "No.", "reasoning_content": "The sky is clear."}
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"messages": [ASKED, CALLED]}, r"messages\[1\].function_call.*as tool_calls"),
        ({"messages": [ASKED], "functions": [FUNCTION]}, "functions.*as tools"),
        ({"messages": [ASKED, THOUGHT]}, r"messages\[1\].reasoning_content.*no thoughts"),
        (
            {"messages": [ASKED, {"role": "assistant", "content": None, "refusal": "I can't."}]},
            r"messages\[1\].refusal.*as content",
        ),
    ],
)
def test_what_the_prompt_would_not_show_of_a_conversation_is_refused_by_name(
    tmp_path: Path, row: dict[str, Any], problem: str
) -> None:
    file = tmp_path / "chats.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=f"line 1: {problem}"):
        list(read_conversations(file))


def test_thoughts_are_read_where_asked_for_and_empty_fields_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "chats.jsonl"
    empty = {**THOUGHT, "reasoning_content": "", "function_call": None, "refusal": None}
    rows = [{"messages": [ASKED, THOUGHT]}, {"messages": [ASKED, empty], "functions": None}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(read_conversations(file, thoughts=True)) == rows
    file.write_text(json.dumps(rows[1]))
    assert list(read_conversations(file)) == rows[1:]
