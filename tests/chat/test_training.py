import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.chat import Tokenizer, train_tokenizer
from openk2.chat.byte_level import byte_characters
from openk2.chat.rendering import declare

TEXTS = ["the cat sat on the mat. the cat saw the bat. \t12345 67890 the 的的的", "that hat"] * 3


def test_the_vocabulary_has_exactly_the_size_asked_for() -> None:
    assert train_tokenizer(TEXTS, 530).vocab_size == 530


def test_the_same_texts_give_the_same_tokenizer() -> None:
    assert train_tokenizer(TEXTS, 530).tokens == train_tokenizer(iter(TEXTS), 530).tokens


def test_what_is_frequent_becomes_one_token() -> None:
    tokenizer = train_tokenizer(TEXTS, 530)
    assert len(tokenizer.encode("the")) == 1
    assert len(tokenizer.encode("的的")) < 6


def test_tokens_never_cross_k2s_pattern() -> None:
    # Digits group by three, Han stands apart, so does a capital inside a word.
    texts = ["123456 123456 getName getName 漢字a漢字a x\ny x\ny"] * 5
    tokens = train_tokenizer(texts, 525).tokens  # as far as the texts reach
    assert b"123" in tokens
    assert b"1234" not in tokens
    assert b"Name" in tokens
    assert not any(b"tN" in token or "字a".encode() in token for token in tokens)


WORDS = ["Zurich", "get_weather", "naïve", "Größe", "हिन्दी", "Привет", "don't", "USA", "getTime"]
SAMPLE = (
    "Zurich Zurich, \"Zurich\" get_weather 'naïve' (Größe) हिन्दी don't USA getTime × ×é “é” × — "
)


@pytest.fixture(scope="module")
def words_apart() -> Tokenizer:
    return train_tokenizer([SAMPLE] * 3, 512 + 52)


@settings(max_examples=200)
@given(
    word=st.sampled_from(WORDS) | st.text(st.characters(categories=["L"]), min_size=1, max_size=8),
    before=st.sampled_from([" ", '"', "", "_", '{"', "\n\n", ": ", "(", "× ", "— ", "7", "."]),
    after=st.sampled_from(["", " ", '"', "_", ":0", ", ", '":']),
)
def test_a_word_has_the_same_ids_whatever_stands_around_it(
    words_apart: Tokenizer, word: str, before: str, after: str
) -> None:
    ids = words_apart.encode(word)
    around = words_apart.encode(before + word + after)
    start = len(words_apart.encode(before))
    assert around[start : start + len(ids)] == ids


def test_a_call_names_its_tool_with_the_ids_of_the_declaration(words_apart: Tokenizer) -> None:
    for name in ("get_weather", "getTime", "Zurich"):
        tool = {"type": "function", "function": {"name": name, "parameters": {}}}
        ids, call = words_apart.encode(name), words_apart.encode(f"functions.{name}:0")
        declared = words_apart.encode(declare([tool]))
        start = len(words_apart.encode("functions."))
        assert call[start : start + len(ids)] == ids
        assert any(declared[i : i + len(ids)] == ids for i in range(len(declared)))


def test_no_token_joins_ascii_signs_with_anything_else(words_apart: Tokenizer) -> None:
    signs = {byte for byte in range(128) if not chr(byte).isalpha()}
    for token in words_apart.tokens:
        assert len({byte in signs for byte in token}) == 1, token


def test_too_little_text_is_an_error_that_says_how_far_it_reaches() -> None:
    with pytest.raises(ValueError, match=r"vocab_size is 5000 but these texts fill only \d+"):
        train_tokenizer(["abc abc"], 5000)


def test_a_size_below_bytes_and_specials_is_refused() -> None:
    with pytest.raises(ValueError, match="vocab_size is 511: it must be at least 512"):
        train_tokenizer(TEXTS, 511)


def test_the_smallest_size_is_bytes_and_specials_alone() -> None:
    tokenizer = train_tokenizer(TEXTS, 512)
    assert sorted(tokenizer.tokens) == [bytes([byte]) for byte in range(256)]


def test_byte_characters_name_all_bytes_with_printable_characters() -> None:
    table = byte_characters()
    assert sorted(table.values()) == list(range(256))
    assert all(character.isprintable() and character != " " for character in table)


@settings(max_examples=15)
@given(st.lists(st.text(min_size=5), min_size=3, max_size=6), st.text())
def test_any_texts_train_a_tokenizer_that_spells_any_text(texts: list[str], other: str) -> None:
    tokenizer: Tokenizer = train_tokenizer(texts, 512)
    for text in [*texts, other]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
