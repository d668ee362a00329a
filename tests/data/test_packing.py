from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from openk2.data import DataError, Document, PackedRows, Role, open_rows, pack_stream, pack_whole
from openk2.data.mixture import Mixture
from openk2.data.rows import RowFile

PAD = 999
DOCUMENTS = st.lists(
    st.lists(st.integers(0, 500), max_size=40).map(
        lambda ids: Document(ids, [i % 3 == 0 for i in ids])
    ),
    min_size=1,
    max_size=30,
).filter(lambda documents: any(document.ids for document in documents))


def pieces(packed: PackedRows) -> list[list[int]]:
    """Every segment of every row, in order."""
    return [
        tokens[segments == s].tolist()
        for tokens, segments in zip(packed.tokens, packed.segments, strict=True)
        for s in range(int(segments.max()) + 1)
    ]


@given(DOCUMENTS)
@settings(max_examples=50, deadline=None)
def test_a_stream_keeps_every_token_in_order(documents: list[Document]) -> None:
    packed = pack_stream(documents, 16, PAD)
    joined = [token for piece in pieces(packed) for token in piece]
    assert joined == [token for document in documents for token in document.ids]


@given(DOCUMENTS)
@settings(max_examples=50, deadline=None)
def test_whole_documents_stay_whole_or_keep_their_beginning(documents: list[Document]) -> None:
    packed = pack_whole(documents, 16, PAD, open_rows=3)
    expected = sorted(list(document.ids[:16]) for document in documents if document.ids)
    assert sorted(pieces(packed)) == expected
    padding = packed.segments == -1
    assert (packed.tokens[padding] == PAD).all()
    assert not packed.learned[padding].any()


@given(DOCUMENTS)
@settings(max_examples=50, deadline=None)
def test_a_target_is_the_next_learned_token_of_the_same_document(
    documents: list[Document],
) -> None:
    packed = pack_whole(documents, 16, PAD)
    batch = Mixture([packed], [1.0], seed=0).batch(0, len(packed))
    predicted = sorted(batch.targets[batch.targets != -100].tolist())
    learned = [
        token
        for document in documents
        for token, wanted in list(zip(document.ids, document.learned, strict=True))[1:16]
        if wanted
    ]
    assert predicted == sorted(learned)


def test_roles_reach_the_targets_and_the_file(tmp_path: Path) -> None:
    documents = [Document([1, 2, 3, 4], [0, 1, 3, 4]), Document([5, 6], [Role.VALUE, Role.NAME])]
    packed = pack_whole(documents, 16, PAD)
    packed.save(tmp_path / "rows")
    for rows in (packed, RowFile(tmp_path / "rows"), RowFile(tmp_path / "rows").read()):
        assert rows.row(0)[2].tolist()[:7] == [0, 1, 3, 4, 4, 2, 0]
        batch = Mixture([rows], [1.0], seed=0).batch(0, 1)
        assert batch.roles[0, :7].tolist() == [1, 3, 4, 0, 2, 0, 0]
        assert batch.targets[0, :7].tolist() == [2, 3, 4, -100, 6, -100, -100]


def test_files_that_only_say_what_is_learned_are_read(tmp_path: Path) -> None:
    packed = pack_stream([Document(list(range(40)), [i % 3 == 0 for i in range(40)])], 16, PAD)
    for name, dtype in (("new", np.uint8), ("old", np.bool_)):
        columns = {"tokens": packed.tokens, "segments": packed.segments}
        save_file(columns | {"learned": packed.learned.astype(dtype)}, tmp_path / name)
    old, new = RowFile(tmp_path / "old"), RowFile(tmp_path / "new")
    assert old.read().content() == new.read().content()
    for index in range(len(new)):
        assert old.row(index)[2].dtype == np.uint8
        assert old.row(index)[2].tolist() == new.row(index)[2].tolist()


def test_a_role_that_there_is_not_is_refused_by_name(tmp_path: Path) -> None:
    pack_stream([Document([1, 2], [1, 5])], 16, PAD).save(tmp_path / "rows")
    with pytest.raises(DataError, match=r"rows holds token role 5, roles are 0 to 4: pack it"):
        RowFile(tmp_path / "rows").row(0)


def test_saved_rows_load_equal_and_damage_is_named(tmp_path: Path) -> None:
    packed = pack_stream([Document(np.arange(50).tolist(), [True] * 50)], 16, PAD)
    file = tmp_path / "rows.safetensors"
    packed.save(file)
    opened = RowFile(file)
    assert (len(opened), opened.length, opened.largest_id()) == (4, 16, PAD)
    for index in range(4):
        for read, kept in zip(opened.row(index), packed.row(index), strict=True):
            assert read.dtype == kept.dtype
            assert read.tolist() == kept.tolist()
    assert opened.read().content() == packed.content()
    file.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"rows\.safetensors"):
        open_rows(file)
    for damaged in (
        PackedRows(packed.tokens, packed.segments[:1], packed.learned),
        PackedRows(packed.tokens[:0], packed.segments[:0], packed.learned[:0]),
        PackedRows(packed.tokens.astype(np.int64), packed.segments, packed.learned),
    ):
        damaged.save(file)
        with pytest.raises(DataError, match=r"rows\.safetensors is not a file of packed rows"):
            open_rows(file)


def test_a_view_is_saved_as_it_looks(tmp_path: Path) -> None:
    packed = pack_stream([Document(np.arange(64).tolist(), [True] * 64)], 16, PAD)
    view = PackedRows(packed.tokens[:, 3:9], packed.segments[:, 3:9], packed.learned[:, 3:9])
    view.save(tmp_path / "rows.safetensors")
    assert RowFile(tmp_path / "rows.safetensors").read().tokens.tolist() == view.tokens.tolist()


def test_more_documents_than_a_row_can_tell_apart_are_refused() -> None:
    documents = [Document([1], [True])] * 32769
    with pytest.raises(DataError, match="more than 32768 documents in a row of 40000"):
        pack_stream(documents, 40_000, PAD)
    assert int(pack_stream(documents[:-1], 40_000, PAD).segments.max()) == 32767
