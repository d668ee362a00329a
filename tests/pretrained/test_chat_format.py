"""Which format a checkpoint has follows from its template and vocabulary, whatever its name."""

import json
import logging
from pathlib import Path

import pytest

from openk2.chat import CHAT_TEMPLATE, Tokenizer, find_tokenizer
from openk2.generation import K2Format, TemplateFormat
from openk2.pretrained.chat_format import find_format
from thinking_templates import STYLES, own_template


def folder_of(folder: Path, template: str | None, *, thinks: bool = True) -> tuple[Path, Tokenizer]:
    """A checkpoint's tokenizer and template, `<think>` and `</think>` named as K2.5 names them."""
    Tokenizer([bytes([byte]) for byte in range(256)]).save(folder)
    names = {str(256 + 22): {"content": "<think>"}, str(256 + 23): {"content": "</think>"}}
    settings = {"added_tokens_decoder": names if thinks else {}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder, find_tokenizer(folder, 512)


@pytest.mark.parametrize("model", STYLES)
def test_a_thinking_checkpoint_is_known_by_its_template(tmp_path: Path, model: str) -> None:
    template = own_template(STYLES[model])
    found = find_format(*folder_of(tmp_path, template))
    assert isinstance(found, K2Format)
    assert found.style == STYLES[model]
    assert found.template == template


def test_a_template_without_thoughts_is_k2_instructs(tmp_path: Path) -> None:
    instruct = find_format(*folder_of(tmp_path, CHAT_TEMPLATE, thinks=False))
    assert isinstance(instruct, K2Format)
    assert not instruct.thinks


def test_an_unknown_template_with_thoughts_is_text_only_and_says_so(tmp_path: Path, caplog) -> None:
    strange = own_template(STYLES["k2.5"]).replace("## Return of", "## Result of")
    # Other libraries' set-up may have raised the root's level.
    with caplog.at_level(logging.WARNING, logger="openk2.pretrained.chat_format"):
        assert isinstance(find_format(*folder_of(tmp_path, strange)), TemplateFormat)
    assert "no prompt that openk2 knows" in caplog.text


def test_without_a_template_thoughts_leave_the_format_unknown(tmp_path: Path) -> None:
    assert isinstance(find_format(*folder_of(tmp_path, None)), TemplateFormat)
    (tmp_path / "plain").mkdir()
    plain = find_format(*folder_of(tmp_path / "plain", None, thinks=False))
    assert isinstance(plain, K2Format)
