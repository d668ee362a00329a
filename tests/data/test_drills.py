import json
import re
from itertools import pairwise

import numpy as np
import pytest

from openk2.chat import Tokenizer, parse_output, train_tokenizer
from openk2.data import Document, Role
from openk2.data.copying import repeated_ids
from openk2.data.drill_choices import FILLERS, choices
from openk2.data.drill_words import Words, letter_tokens
from openk2.data.drills import Drills
from openk2.synthesis import generate


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([str(chat) for chat in generate(0, 40, "train")], 700)


def documents(tokenizer: Tokenizer, count: int, **settings: object) -> list[Document]:
    return list(Drills(**settings).documents(tokenizer, count))


def test_every_learned_repeated_id_is_predicted_by_an_earlier_pair() -> None:
    learned_ids = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        length = int(rng.integers(8, 100))
        document = repeated_ids(rng, 10_000, length, "train")
        assert length - 1 <= len(document.ids) == len(document.learned) <= length
        pairs = list(pairwise(document.ids))
        for index, wanted in enumerate(document.learned):
            if wanted:
                learned_ids += 1
                assert pairs[index - 1] in pairs[: index - 1]
    assert learned_ids > 50 * 15


def test_every_learned_id_stands_before_it_in_its_document(tokenizer: Tokenizer) -> None:
    made = documents(tokenizer, 200, shortest=64)
    assert sum(tokenizer.is_special(document.ids[0]) for document in made) > 40
    for document in made:
        assert sum(document.learned) > 0
        for index, wanted in enumerate(document.learned):
            assert not wanted or document.ids[index] in document.ids[:index]
            assert not (wanted and tokenizer.is_special(document.ids[index]))


def test_lengths_keep_their_bounds(tokenizer: Tokenizer) -> None:
    for shortest, longest in ((8, 16), (100, 256)):
        for document in documents(tokenizer, 60, shortest=shortest, longest=longest):
            assert len(document.ids) <= longest
            markup = tokenizer.is_special(document.ids[0])
            assert markup or len(document.ids) >= shortest - 1


def test_calls_are_in_the_format_that_the_parser_reads(tokenizer: Tokenizer) -> None:
    begin, end = (
        tokenizer.special(name) for name in ("<|tool_calls_section_begin|>", "<|im_end|>")
    )
    read = 0
    for document in documents(tokenizer, 150, shortest=128, plain=0.0):
        ids = list(document.ids)
        if begin in ids:
            start = ids.index(begin)
            names = re.findall(r"functions\.(\w+):", tokenizer.decode(ids))
            output = parse_output(tokenizer, ids[start : ids.index(end, start)], names)
            made = [call.name for call in output.tool_calls]
            assert made == names[: len(made)] != []
            assert all(json.loads(call.arguments) for call in output.tool_calls)
            read += 1
    assert read > 20


def test_held_out_words_are_never_those_of_train(tokenizer: Tokenizer) -> None:
    letters = letter_tokens(tokenizer)

    def words(split: str) -> set[str]:
        drawn = Words(np.random.default_rng(3), letters[:12], split)
        for _ in range(60):
            drawn.name()
            drawn.value()
        return set(drawn.given)

    train, held_out = words("train"), words("held_out")
    assert min(len(train), len(held_out)) == 120
    assert not train & held_out


def test_the_repeated_set_comes_again_and_all_else_once(tokenizer: Tokenizer) -> None:
    made = documents(tokenizer, 300, repeated=0.5, repeated_set=4, shortest=24)
    counts: dict[tuple[int, ...], int] = {}
    for document in made:
        ids = tuple(document.ids)
        counts[ids] = counts.get(ids, 0) + 1
    assert sorted(counts.values())[-4:] == sorted(c for c in counts.values() if c > 1)
    assert 100 < sum(c for c in counts.values() if c > 1) < 200


def test_documents_depend_on_seed_and_index_alone(tokenizer: Tokenizer) -> None:
    first, longer, other = (
        [document.ids for document in documents(tokenizer, count, seed=seed)]
        for count, seed in ((5, 3), (9, 3), (5, 4))
    )
    assert first == longer[:5]
    assert first != other


def test_learned_tokens_have_the_role_of_their_place_in_the_call(tokenizer: Tokenizer) -> None:
    begin, arguments, end = (
        tokenizer.special(f"<|tool_call_{name}|>") for name in ("begin", "argument_begin", "end")
    )
    met: dict[int, int] = {}
    for document in documents(tokenizer, 150, shortest=128, plain=0.0):
        place = None
        for token, role in zip(document.ids, document.learned, strict=True):
            if tokenizer.is_special(token):
                place = token
            elif role:
                allowed = {begin: {Role.NAME}, arguments: {Role.KEY, Role.VALUE}}
                assert role in allowed.get(place, {Role.STRUCTURE})
                met[role] = met.get(role, 0) + 1
    assert min(met.get(role, 0) for role in Role if role) > 20
    assert end not in met


def test_a_choice_is_told_by_the_words_of_one_description(tokenizer: Tokenizer) -> None:
    letters = letter_tokens(tokenizer)
    chosen = []
    for seed in range(60):
        words = Words(np.random.default_rng(seed), letters, "train")
        messages, tools = choices(words, 2 + seed % 5, 6)
        own = {
            tool["function"]["name"]: set(tool["function"]["description"].split()) - set(FILLERS)
            for tool in tools
        }
        assert len(own) == 2 + seed % 5
        asked = [m["content"] for m in messages if m["role"] == "user"]
        calls = [m["tool_calls"][0] for m in messages if m["role"] == "assistant"]
        for request, call in zip(asked, calls, strict=True):
            said = set(request.split()) - set(FILLERS)
            name = call["function"]["name"]
            assert said == own[name] != set()
            assert not any(said & theirs for other, theirs in own.items() if other != name)
            chosen.append(list(own).index(name))
    assert {0, 1, 2, 3, 4, 5} == set(chosen)


def test_in_choices_names_alone_are_learned_and_documents_fit(tokenizer: Tokenizer) -> None:
    made = documents(tokenizer, 40, choosing=1.0, longest=400, tools=5)
    for document in made:
        assert len(document.ids) <= 400
        assert set(document.learned) == {Role.NOT_LEARNED, Role.NAME}


def test_other_drills_do_not_depend_on_how_choices_are_made(tokenizer: Tokenizer) -> None:
    plain, other = (documents(tokenizer, 20, tools=tools) for tools in (4, 9))
    assert [document.ids for document in plain] == [document.ids for document in other]


def test_a_tokenizer_in_whose_ids_no_choice_fits_is_refused_with_the_length_that_does() -> None:
    coarse = Tokenizer([bytes([byte]) for byte in range(256)])
    with pytest.raises(ValueError, match=r"at most 256 tokens.* give --max \d+ or") as refused:
        documents(coarse, 1, choosing=1.0)
    enough = int(re.search(r"--max (\d+)", str(refused.value))[1])
    assert enough > 256
    assert len(documents(coarse, 50, choosing=1.0, longest=enough)) == 50


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"choosing": 0.5, "longest": 100}, "no room for choices"),
        ({"tools": 1}, "tools is 1"),
    ],
)
def test_choices_that_cannot_be_made_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Drills(**settings)
