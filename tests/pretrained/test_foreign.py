"""Checkpoints that are not K2's, opened and asked: tokenizer.json, own template, vision tensors."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from foreign_tokenizer import EOS, SPECIALS, write_tokenizer
from openk2.chat import Tokenizer
from openk2.checkpoint import save_model
from openk2.generation import (
    ChatRequest,
    CompletionRequest,
    JsonFormat,
    K2Format,
    PromptCoder,
    RawCompletion,
    RequestError,
    TemplateFormat,
    complete,
    complete_text,
)
from openk2.pretrained import LocalModel, LocalModelError, open_model
from tiny import KINDS
from transformers_twin import random_model, twin_of

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% else %}<｜Assistant｜>{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)
ASKED = [{"role": "user", "content": "the <｜User｜> lake"}]


def deepseek(folder: Path, **settings: object) -> Path:
    """A folder as transformers writes it, with a tokenizer.json of fewer ids than the network."""
    ids = {"vocab_size": 400, "bos_token_id": 0, "eos_token_id": 1}
    config = dataclasses.replace(KINDS["DeepSeek-V3"], **ids)
    twin_of(random_model(config, 1)).save_pretrained(folder)
    write_tokenizer(folder, chat_template=TEMPLATE, **settings)
    return folder


def answer(local: LocalModel, **settings: object) -> str:
    request = ChatRequest(ASKED, max_tokens=8, temperature=0, **settings)
    return asyncio.run(complete(local.chat, request)).content


def test_a_deepseek_folder_answers_in_its_own_format(tmp_path: Path) -> None:
    with open_model(deepseek(tmp_path)) as local:
        assert isinstance(local.chat.format, TemplateFormat)
        assert local.masks is None
        tokenizer = local.tokenizer
        assert local.chat.stop_ids == {tokenizer.special(EOS)}
        ids, _ = local.chat.encode(ASKED, ())
        wanted = [*SPECIALS[:1], SPECIALS[2], SPECIALS[3]]
        assert [tokenizer.decode([i]) for i in ids if tokenizer.is_special(i)] == wanted
        text = answer(local)
        assert "<｜" not in text
        assert text == answer(local)
        coder = PromptCoder(tokenizer, 100, local.chat.format)
        assert coder.encode_chat(ASKED) == ids
        assert coder.info()["chat_template"] == TEMPLATE
        raw = RawCompletion(tokenizer, local.engine, local.chat.stop_ids)
        completion = CompletionRequest("the lake", max_tokens=4, temperature=0)
        assert asyncio.run(complete_text(raw, completion)).completion_tokens == 4
        assert raw.encode("the lake")[0] == tokenizer.special(SPECIALS[0])


def test_what_a_foreign_format_cannot_do_is_refused_by_name(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with open_model(deepseek(tmp_path)) as local:
        with pytest.raises(RequestError, match="tools are read in K2's format only"):
            answer(local, tools=[tool])
        with pytest.raises(RequestError, match="response_format needs constrained decoding"):
            answer(local, response_format=JsonFormat())
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text("[]")
    with pytest.raises(LocalModelError, match="holds a list, not a JSON object"):
        open_model(tmp_path)


def test_moonlights_older_template_is_used_with_k2s_vocabulary(tmp_path: Path) -> None:
    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)])
    config = dataclasses.replace(
        KINDS["Moonlight"],
        vocab_size=512,
        bos_token_id=256,
        eos_token_id=258,
        pad_token_id=511,
    )
    save_model(random_model(config, 1), tmp_path / "model")
    tokenizer.save(tmp_path / "model")
    with open_model(tmp_path / "model") as local:
        assert isinstance(local.chat.format, K2Format)
    older = "{% for m in messages %}<|im_user|>{{ m.content }}<|im_end|>{% endfor %}"
    (tmp_path / "model" / "chat_template.jinja").write_text(older)
    with open_model(tmp_path / "model") as local:
        ids, _ = local.chat.encode(ASKED, ())
        assert tokenizer.decode(ids) == "<|im_user|>the <｜User｜> lake<|im_end|>"
        assert "skipped" not in local.summary
        answer(local)
