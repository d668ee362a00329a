"""A checkpoint's tokenizer.json: the library's ids, and no text becomes a special."""

import json
from pathlib import Path

import pytest

from openk2.chat import Tokenizer, TokenizerError, find_tokenizer

SPECIALS = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
TEXT = "The lake froze. Зима <｜User｜> 123456 <think>x</think>\n  <｜end▁of▁sentence｜> 結氷\ud800"
BOS, EOS = SPECIALS[:2]


def write_tokenizer(folder: Path, **settings: object) -> None:
    """A byte-level BPE as DeepSeek publishes one: BOS and EOS first, other added tokens last."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIALS[:2],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the lake froze over and the lake thawed " * 20], trainer)
    tokenizer.add_special_tokens(SPECIALS[2:])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), "</think>"])
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": {"content": BOS}, "eos_token": EOS, "add_bos_token": True, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


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
