"""A checkpoint's tokenizer.json: the library's ids, and no text becomes a special."""

import json
from pathlib import Path

import pytest

from foreign_tokenizer import BOS, EOS, SPECIALS, write_tokenizer
from openk2.chat import Tokenizer, TokenizerError, find_tokenizer

TEXT = "The lake froze. Зима <｜User｜> 123456 <think>x</think>\n  <｜end▁of▁sentence｜> 結氷\ud800"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    write_tokenizer(tmp_path)
    return find_tokenizer(tmp_path, 400)


def test_text_has_the_librarys_ids_and_markup_its_specials(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer as Library

    library = Library.from_file(str(tmp_path / "tokenizer.json"))
    plain = "The lake froze over.\n  Зима 123 結氷"
    assert tokenizer.encode(plain) == library.encode(plain, add_special_tokens=False).ids
    marked = f"{BOS}{SPECIALS[2]}the lake{SPECIALS[3]}<think>\nthaw</think> over{EOS}"
    assert tokenizer.encode_markup(marked) == library.encode(marked, add_special_tokens=False).ids
    assert tokenizer.encode_markup("the lake")[0] == tokenizer.special(BOS)


def test_no_text_becomes_a_special_and_all_of_it_comes_back(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(TEXT)
    assert not any(tokenizer.is_special(token_id) for token_id in ids)
    assert tokenizer.decode(ids) == TEXT.replace("\ud800", "\N{REPLACEMENT CHARACTER}")


def test_stops_specials_and_ids_beyond_the_file(tokenizer: Tokenizer) -> None:
    assert tokenizer.stop_ids == {tokenizer.special(EOS)} == {1}
    assert tokenizer.vocab_size == 400
    assert tokenizer.is_special(399)
    assert tokenizer.decode([399]) == "<|reserved_token_399|>"
    # What the file does not call special is text of an answer.
    assert tokenizer.special("<think>") not in tokenizer.silent_ids
    assert tokenizer.special(BOS) in tokenizer.silent_ids


def test_files_of_another_kind_are_refused_in_one_line(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match="beyond the network's vocab_size 100"):
        find_tokenizer(tmp_path, 100)
    file = tmp_path / "tokenizer.json"
    data = json.loads(file.read_text())
    for change, message in (
        ({"pre_tokenizer": {"type": "Whitespace"}}, "byte-level BPE only"),
        ({"model": {"type": "Unigram", "vocab": {}}}, "byte-level BPE only"),
        ({"model": 3}, "is damaged"),
        ({"added_tokens": [{"content": "x"}]}, "is damaged"),
    ):
        file.write_text(json.dumps(data | change))
        with pytest.raises(TokenizerError, match=message) as refused:
            find_tokenizer(tmp_path, 400)
        assert "\n" not in str(refused.value)


def test_tiktoken_files_take_the_names_of_specials_from_the_checkpoint(tmp_path: Path) -> None:
    Tokenizer([bytes([byte]) for byte in range(256)]).save(tmp_path)
    named = {
        "256": {"content": "[BOS]"},
        "278": {"content": "<think>"},
        "279": {"content": "</think>"},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": named}))
    tokenizer = find_tokenizer(tmp_path, 512)
    assert tokenizer.special("<think>") == 278
    assert tokenizer.special("<|im_end|>") == 258
    with pytest.raises(TokenizerError, match="belong to different models"):
        find_tokenizer(tmp_path, 600)
