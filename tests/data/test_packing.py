import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.data import DataError, Document, Mixture, PackedRows, pack_stream, pack_whole

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


def rows(count: int, value: int) -> PackedRows:
    tokens = torch.arange(count)[:, None].repeat(1, 4).int() + value
    return PackedRows(tokens, torch.zeros(count, 4).short(), torch.ones(count, 4).bool())


def test_an_epoch_visits_every_row_once_in_an_order_of_its_own() -> None:
    mixture = Mixture([rows(20, 0)], [1.0], seed=5)
    epochs = [mixture.batch(step, 20).tokens[:, 0].tolist() for step in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(20))
    assert epochs[0] != epochs[1]


def test_a_step_is_the_same_whatever_was_asked_before() -> None:
    def mixture() -> Mixture:
        return Mixture([rows(50, 0), rows(30, 1000)], [3.0, 1.0], seed=5)

    walked = mixture()
    for step in range(1200):
        expected = walked.batch(step, 8)
    assert torch.equal(mixture().batch(1199, 8).tokens, expected.tokens)


def test_weights_are_proportions() -> None:
    mixture = Mixture([rows(50, 0), rows(30, 1000)], [3.0, 1.0], seed=5)
    tokens = torch.cat([mixture.batch(step, 100).tokens[:, 0] for step in range(40)])
    assert float((tokens >= 1000).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_saved_rows_load_equal_and_damage_is_named(tmp_path) -> None:
    packed = pack_stream([Document(np.arange(50).tolist(), [True] * 50)], 16, PAD)
    packed.save(tmp_path / "rows.safetensors")
    loaded = PackedRows.load(tmp_path / "rows.safetensors")
    assert torch.equal(loaded.tokens, packed.tokens)
    (tmp_path / "rows.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"rows\.safetensors"):
        PackedRows.load(tmp_path / "rows.safetensors")
    for damaged in (
        PackedRows(packed.tokens, packed.segments[:1].clone(), packed.learned),
        PackedRows(packed.tokens[:0], packed.segments[:0], packed.learned[:0]),
        PackedRows(packed.tokens.long(), packed.segments, packed.learned),
    ):
        damaged.save(tmp_path / "rows.safetensors")
        with pytest.raises(DataError, match=r"rows\.safetensors is not a file of packed rows"):
            PackedRows.load(tmp_path / "rows.safetensors")


def test_more_documents_than_a_row_can_tell_apart_are_refused() -> None:
    documents = [Document([1], [True])] * 32769
    with pytest.raises(DataError, match="more than 32768 documents in a row of 40000"):
        pack_stream(documents, 40_000, PAD)
    assert int(pack_stream(documents[:-1], 40_000, PAD).segments.max()) == 32767
