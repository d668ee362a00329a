import codecs
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from openk2.chat import Tokenizer, TokenizerError
from openk2.chat.tokenizer import PATTERN, _split_as_published

OFFSETS = {
    "[BOS]": 0,
    "[EOS]": 1,
    "<|im_end|>": 2,
    "<|im_user|>": 3,
    "<|im_assistant|>": 4,
    "<|im_system|>": 10,
    "<|tool_calls_section_begin|>": 11,
    "<|tool_call_end|>": 15,
    "<|im_middle|>": 17,
    "[UNK]": 254,
    "[PAD]": 255,
}


def test_specials_stand_at_k2s_offsets_behind_any_number_of_ranks(tokenizer: Tokenizer) -> None:
    ranks = len(tokenizer.tokens)
    assert tokenizer.vocab_size == ranks + 256
    assert {name: tokenizer.special(name) - ranks for name in OFFSETS} == OFFSETS
    assert tokenizer.special(f"<|reserved_token_{ranks + 100}|>") == ranks + 100
    assert tokenizer.stop_ids == {ranks + 1, ranks + 2}
    assert [tokenizer.is_special(i) for i in (ranks - 1, ranks, ranks + 255, ranks + 256)] == [
        False,
        True,
        True,
        False,
    ]


def test_published_vocabulary_gives_the_published_ids(real_tokenizer: Tokenizer) -> None:
    assert real_tokenizer.vocab_size == 163_840
    assert real_tokenizer.special("<|im_end|>") == 163_586
    assert real_tokenizer.special("<|reserved_token_163600|>") == 163_600
    text = "You are Kimi, an AI assistant created by Moonshot AI."
    ids = [3900, 554, 24980, 72, 11, 519, 22572, 26626, 5232, 673, 30218, 10065, 22572, 13]
    assert real_tokenizer.encode(text) == ids
    assert len(real_tokenizer.encode("<|tool_call_section_begin|>")) == 8


def test_saving_the_published_vocabulary_gives_the_published_file(
    real_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    digest = sha256(real_tokenizer.save(tmp_path).read_bytes()).hexdigest()
    assert digest.startswith("b6c497a7")
    assert digest.endswith("103")


def test_a_saved_tokenizer_loads_from_file_and_from_folder(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    file = tokenizer.save(tmp_path / "made")
    assert Tokenizer.load(file).tokens == tokenizer.tokens
    assert Tokenizer.load(file.parent).tokens == tokenizer.tokens


@given(st.text())
def test_text_survives_the_round_trip_without_specials(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not any(tokenizer.is_special(i) for i in ids)


@given(st.binary())
def test_every_byte_string_can_be_spelt(tokenizer: Tokenizer, data: bytes) -> None:
    ranks = {token: rank for rank, token in enumerate(tokenizer.tokens)}
    assert tokenizer.decode_bytes(ranks[bytes([byte])] for byte in data) == data


def test_no_name_of_a_special_becomes_the_special(tokenizer: Tokenizer) -> None:
    for name in tokenizer.specials:
        text = f"a{name}b {name}"
        ids = tokenizer.encode(text)
        assert not any(tokenizer.is_special(i) for i in ids), name
        assert tokenizer.decode(ids) == text


def test_markup_is_read_from_a_prompt_that_is_trusted(tokenizer: Tokenizer) -> None:
    text = "[BOS]<|im_user|>user<|im_middle|>[EOS <|im_end|"
    ids = [tokenizer.special("[BOS]"), tokenizer.special("<|im_user|>"), *tokenizer.encode("user")]
    ids += [tokenizer.special("<|im_middle|>"), *tokenizer.encode("[EOS <|im_end|")]
    assert tokenizer.encode_markup(text) == ids


@given(st.lists(st.sampled_from([*OFFSETS, "a b", "雪", "<|", "]"])))
def test_markup_survives_the_round_trip(tokenizer: Tokenizer, parts: list[str]) -> None:
    text = "".join(parts)
    ids = tokenizer.encode_markup(text)
    assert tokenizer.decode(ids) == text
    assert sum(map(tokenizer.is_special, ids)) == sum(part in OFFSETS for part in parts)


def test_every_reserved_name_is_read_as_its_id(tokenizer: Tokenizer) -> None:
    names = sorted(tokenizer.specials, key=lambda name: tokenizer.specials[name])
    first = len(tokenizer.tokens)
    assert tokenizer.encode_markup("".join(names)) == list(range(first, first + 256))


def test_the_published_prompt_read_as_text_has_the_published_ids(real_tokenizer: Tokenizer) -> None:
    prompt = (
        "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI."
        "<|im_end|>\n<|im_user|>user<|im_middle|>hi<|im_end|><|im_assistant|>assistant<|im_middle|>"
    )
    assert real_tokenizer.encode_markup(prompt) == [
        163594, 14062, 163601, 3900, 554, 24980, 72, 11, 519, 22572, 26626, 5232, 673, 30218, 10065,
        22572, 13, 163586, 198, 163587, 2482, 163601, 9663, 163586, 163588, 69702, 163601,
    ]  # fmt: skip


def test_decode_writes_specials_by_name(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.special("<|im_user|>"), *tokenizer.encode("user")]
    assert tokenizer.decode(ids) == "<|im_user|>user"


def test_a_lone_surrogate_becomes_the_replacement_character(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"


@given(st.lists(st.integers(min_value=0, max_value=639), max_size=30))
def test_incremental_decoding_of_bytes_agrees_with_decode(
    tokenizer: Tokenizer, ids: list[int]
) -> None:
    stream = codecs.getincrementaldecoder("utf-8")("replace")
    text = "".join(stream.decode(tokenizer.decode_bytes([i])) for i in ids)
    assert text + stream.decode(b"", final=True) == tokenizer.decode(ids)


def _published_split(block: str, longest: int) -> list[str]:
    """The published rule, a character at a time: no run of one kind is longer than `longest`."""
    parts, run = [""], 0
    for before, character in zip(" " + block, block, strict=False):
        run = run + 1 if before.isspace() == character.isspace() else 1
        if run > longest:
            parts.append("")
            run = 1
        parts[-1] += character
    return parts


@pytest.mark.parametrize(
    "text",
    [
        "a" * 25_000,
        "a" * 25_001,
        "x " * 10 + "a" * 60_000 + " tail",
        "b" + " " * 50_001 + "c",
        "a b\n" * 101_000,
        "a" * 399_999 + " " * 30_000,
    ],
    ids=["fits", "one-over", "two-cuts", "spaces", "blocks", "run-over-a-block"],
)
def test_long_input_is_cut_where_the_published_tokenizer_cuts(text: str) -> None:
    blocks = [text[start : start + 400_000] for start in range(0, len(text), 400_000)]
    expected = [part for block in blocks for part in _published_split(block, 25_000)]
    assert [part for part in _split_as_published(text) if part] == [p for p in expected if p]


def test_the_cuts_show_in_the_ids(tokenizer: Tokenizer) -> None:
    plain = tiktoken.Encoding(
        "plain",
        pat_str=PATTERN,
        mergeable_ranks={token: rank for rank, token in enumerate(tokenizer.tokens)},
        special_tokens={},
    )
    text = "ab" * 12_499 + "x" + "the"  # the cut falls into "the"
    assert tokenizer.encode(text) != plain.encode_ordinary(text)
    assert tokenizer.encode(text[:25_000]) == plain.encode_ordinary(text[:25_000])


LINE = b"YQ== 0\n"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "byte 0x00 has no token (256 of 256 missing)"),
        (LINE, "byte 0x00 has no token (255 of 256 missing)"),
        (LINE + b"%%% 1\n", "line 2 is not 'base64 rank'"),
        (LINE + b"Yg==\n", "line 2 is not 'base64 rank'"),
        (LINE + b"Yg== one\n", "line 2 is not 'base64 rank'"),
        (LINE + b"Yg== 0\n", "line 2 repeats rank 0"),
        (LINE + b"Yg== 2\n", "rank 1 of 2 is missing"),
        (LINE + b"YQ== 1\n", "1 tokens occur twice"),
        (b"version https://git-lfs.github.com/spec/v1\n", "line 1 is not 'base64 rank'"),
    ],
)
def test_a_damaged_file_gives_one_line_that_names_file_and_place(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    file = tmp_path / "tiktoken.model"
    file.write_bytes(data)
    with pytest.raises(TokenizerError) as caught:
        Tokenizer.load(tmp_path)
    message = str(caught.value)
    assert str(file) in message
    assert problem in message
    assert "\n" not in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"nowhere does not exist"):
        Tokenizer.load(tmp_path / "nowhere")


@pytest.mark.parametrize("token_id", [-1, 640])
def test_an_id_outside_the_vocabulary_is_named(tokenizer: Tokenizer, token_id: int) -> None:
    with pytest.raises(ValueError, match=f"token id {token_id} is outside the vocabulary of 640"):
        tokenizer.decode([token_id])


def test_the_room_loads_nothing_of_a_server_or_of_training() -> None:
    heavy = {"torch", "tokenizers", "transformers", "fastapi", "starlette", "uvicorn", "pydantic"}
    heavy |= {"httpx", "prometheus_client", "numpy", "jinja2"}
    code = f"import sys, openk2.chat; print({heavy!r} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_specials_of_a_thinking_vocabulary_differ_in_two_names(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path)
    thinking = Tokenizer.load(tmp_path, thinking=True)
    named = {i: name for name, i in thinking.specials.items() if name not in tokenizer.specials}
    first = len(tokenizer.tokens)
    assert named == {first + 22: "<think>", first + 23: "</think>"}
    assert thinking.decode([first + 22]) == "<think>"


@pytest.mark.parametrize("run", ["a", " "])
def test_runs_just_short_of_a_cut_are_scanned_in_linear_time(run: str) -> None:
    other = " " if run == "a" else "a"
    text = (run * 24_999 + other) * 16
    began = time.perf_counter()
    assert list(_split_as_published(text)) == [text]
    assert time.perf_counter() - began < 1.0
