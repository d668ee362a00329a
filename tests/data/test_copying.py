from openk2.data.copying import copying_documents


def test_every_learned_id_is_predicted_by_an_earlier_pair() -> None:
    learned_tokens = 0
    for document in copying_documents(50, seed=1, ids=10_000):
        assert len(document.ids) == len(document.learned) <= 64
        pairs = list(zip(document.ids, document.ids[1:], strict=False))
        for index, wanted in enumerate(document.learned):
            if wanted:
                learned_tokens += 1
                assert pairs[index - 1] in pairs[: index - 1]
    assert learned_tokens > 50 * 15


def test_documents_depend_on_seed_and_index_alone() -> None:
    first, again = ([d.ids for d in copying_documents(5, seed=s, ids=50)] for s in (3, 3))
    assert first == again
    assert [d.ids for d in copying_documents(5, seed=4, ids=50)] != first
