import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from openk2.chat import Tokenizer, encode_chat, export_tokenizer, render, train_tokenizer

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "description": "é <b> & 'q'",
            "parameters": {"type": "object", "properties": {"z": {"b": 1, "a": 2}, "a": {}}},
        },
    }
]


class Exported:
    """What transformers loads, behind a short repr: its own, in hypothesis' reports, is 30 kB."""

    def __init__(self, fast: Any) -> None:
        self.fast = fast


@pytest.fixture(scope="module", params=["deepseek_v3", "kimi_k2", None])
def exported(
    request: Any, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    export_tokenizer(tokenizer, folder, context_length=4096)
    if request.param:
        (folder / "config.json").write_text(json.dumps({"model_type": request.param}))
    return Exported(AutoTokenizer.from_pretrained(folder))


def test_the_exported_tokenizer_knows_sizes_and_special_ids(
    exported: Exported, tokenizer: Tokenizer
) -> None:
    assert len(exported.fast) == tokenizer.vocab_size
    assert exported.fast.model_max_length == 4096
    assert exported.fast.eos_token_id == tokenizer.special("[EOS]")
    assert exported.fast.pad_token_id == tokenizer.special("[PAD]")
    assert {name: exported.fast.convert_tokens_to_ids(name) for name in tokenizer.specials} == dict(
        tokenizer.specials
    )


@settings(max_examples=50)
@given(text=st.text())
def test_transformers_gives_the_same_ids_for_text_without_special_names(
    exported: Exported, tokenizer: Tokenizer, text: str
) -> None:
    assume(not any(name in text for name in tokenizer.specials))
    ids = tokenizer.encode(text)
    assert exported.fast.encode(text, add_special_tokens=False) == ids
    assert exported.fast.decode(ids) == text


WORDS = [
    "the",
    "quick",
    "fox's",
    "don't",
    "123456",
    "\n\n",
    "",
    "def漢字",
    "Größe",
    "I'VE",
    "مرحبا",
    "😀",
]
words = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@settings(max_examples=60)
@given(text=words)
def test_transformers_gives_the_same_ids_for_ordinary_prose(
    exported: Exported, tokenizer: Tokenizer, text: str
) -> None:
    assert exported.fast.encode(text, add_special_tokens=False) == tokenizer.encode(text)


PARTS = [
    *["weather in ", "Zurich", "getUserName(", "def f(x):\n\treturn x[1:]", "HTTPServer", "it's "],
    *['{"city": "Zürich", ', '"unit":"celsius"}', "functions.get_weather:0", "}}]", '\\"', "\\u0"],
    *[" ", "  ", "\t", "\n", "\r\n", "\n\n   ", "\u00a0", "\u3000", "\u200d", "\ufeff"],
    *["7", "2026", "1234567", "3.14", "٣٤", "½", "Ⅷ", "²"],
    *["漢字", "かな", "한국어", "Привет", "ΑΒΓ", "مرحبا", "हिन्दी", "ไทย", "שלום", "e\u0301", "Ǆ"],
    *["😀", "👩\u200d💻", "🇨🇭", "—", "“", "…", "×", "'LL", "<|im", "[E"],
]


def random_text(rng: random.Random) -> str:
    """Parts of many kinds, and single characters of any script, in any order."""
    picked = []
    for _ in range(rng.randrange(1, 9)):
        code = rng.randrange(rng.choice([0x80, 0x3000, 0xD800, 0x10F800]))
        character = chr(code if code < 0xD800 else code + 0x800)  # no surrogates
        picked.append(rng.choice([character, rng.choice(PARTS)]))
    return "".join(picked)


def test_transformers_gives_the_same_ids_for_ten_thousand_random_strings(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(PARTS * 3, 512 + 160)
    export_tokenizer(tokenizer, tmp_path, context_length=4096)
    fast = AutoTokenizer.from_pretrained(tmp_path)
    rng = random.Random(11)
    texts = [random_text(rng) for _ in range(10_000)]
    ids = fast(texts, add_special_tokens=False)["input_ids"]
    for text, theirs in zip(texts, ids, strict=True):
        assert theirs == tokenizer.encode(text), text


def test_a_whole_word_with_a_token_is_that_token_even_if_no_merges_lead_there(
    tmp_path: Path,
) -> None:
    tokenizer = Tokenizer([*(bytes([byte]) for byte in range(256)), b"abc"])
    export_tokenizer(tokenizer, tmp_path, context_length=4096)
    fast = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.encode("abc") == [256]
    assert fast("abc", add_special_tokens=False)["input_ids"] == [256]


safe = st.text(st.characters(exclude_characters="<[", codec="utf-8"), max_size=8)
content = st.one_of(
    st.none(), safe, st.lists(safe.map(lambda text: {"type": "text", "text": text}), max_size=2)
)
arguments = st.one_of(safe, st.dictionaries(safe, st.one_of(safe, st.integers()), max_size=2))
calls = st.lists(
    st.builds(
        lambda call_id, value: {"id": call_id, "function": {"name": "f", "arguments": value}},
        safe.filter(bool),
        arguments,
    ),
    max_size=2,
)
message = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user"]), "content": content},
        optional={"name": st.one_of(st.none(), safe)},
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant")}, optional={"content": content, "tool_calls": calls}
    ),
    st.fixed_dictionaries(
        {"role": st.just("tool"), "tool_call_id": safe.filter(bool), "content": content},
        optional={"name": safe},
    ),
)


@settings(max_examples=50)
@given(
    messages=st.lists(message, min_size=1, max_size=4),
    tools=st.sampled_from([None, [], TOOLS]),
    generation_prompt=st.booleans(),
)
def test_the_template_writes_what_rendering_writes(
    exported: Exported,
    tokenizer: Tokenizer,
    messages: list[dict[str, Any]],
    tools: Any,
    generation_prompt: bool,
) -> None:
    pieces = render(messages, tools, generation_prompt=generation_prompt)
    text = "".join(piece.text for piece in pieces)
    options = {"tools": tools, "add_generation_prompt": generation_prompt}
    assert exported.fast.apply_chat_template(messages, tokenize=False, **options) == text
    ids = exported.fast.apply_chat_template(messages, return_dict=False, **options)
    encoded = encode_chat(tokenizer, messages, tools, generation_prompt=generation_prompt)
    assert ids == encoded.token_ids


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"role": "developer", "content": ""}, "role must be system, user"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "not image_url"),
    ],
)
def test_the_template_refuses_what_rendering_refuses(
    exported: Exported, bad: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Exception, match=problem):
        exported.fast.apply_chat_template([bad], tokenize=False)


def test_the_export_is_deterministic_and_holds_k2s_own_file(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        export_tokenizer(tokenizer, tmp_path / name, context_length=8)
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
    assert Tokenizer.load(tmp_path / "one").tokens == tokenizer.tokens
