"""`CheckpointTemplate`: prompts by the Jinja template that a checkpoint brings.

For checkpoints whose format is not K2's. The template is rendered in Jinja's immutable sandbox: it
reads messages and writes text, and reaches no attribute, file or module. What it cannot be kept
from is computing for long, as any template can.

A template writes one string, in which a special token's name in a user's text would look like the
template's own. So it is rendered with a placeholder for every text of the conversation, and the
texts are put in afterwards as ordinary text. That is exact for a template that only copies texts.
One that looks into them (trims, splits at `</think>`) is rendered with the texts themselves, and
the prompt is accepted only if its special tokens are those that the placeholders gave; if not, the
names inside the texts are broken up first. What still differs is refused. So a text adds no special
token; what cannot be held is that such a template sees a name that a text spells.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from openk2.chat.json_tokenizer import named_token, read_settings
from openk2.chat.message_fields import RenderError
from openk2.chat.tokenizer import Tokenizer

TEMPLATE_FILE = "chat_template.jinja"
# Texts that say what a message is: a template compares them with its own.
STRUCTURE = ("role", "type")
PRIVATE_USE = range(0xE000, 0xF8FF)

Pieces = list[tuple[str, bool]]


class CheckpointTemplate:
    """source: the Jinja template. settings: tokenizer_config.json, for the names of BOS and EOS.

    Raises RenderError for a template that is not Jinja.
    """

    def __init__(self, source: str, settings: Mapping[str, Any], tokenizer: Tokenizer) -> None:
        self.source, self._tokenizer = source, tokenizer
        self._tokens = {
            name: named_token(settings, name) or ""
            for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        self._template = compiled(source)

    @classmethod
    def read(cls, folder: Path, tokenizer: Tokenizer) -> "CheckpointTemplate | None":
        """The folder's template, None without one. Raises TokenizerError, RenderError."""
        settings = read_settings(folder)
        source = template_source(folder, settings)
        return None if source is None else cls(source, settings, tokenizer)

    def encode(
        self, messages: Sequence[Mapping[str, Any]], *, generation_prompt: bool = True
    ) -> list[int]:
        """The ids of the conversation's prompt. Raises RenderError."""

        def render(change: Callable[[str], str]) -> str:
            return self.render([changed(m, change) for m in messages], generation_prompt)

        return self._tokenizer.encode_pieces(self.pieces(render, texts_of(messages)))

    def pieces(self, render: Callable[[Callable[[str], str]], str], texts: list[str]) -> Pieces:
        """The prompt as names of specials and ordinary text, as the module says."""
        tokenizer, mark = self._tokenizer, unused_character(texts)
        number = {text: i for i, text in enumerate(texts)}
        frame = render(lambda text: f"{mark}{number[text]}{mark}")
        parts = re.split(f"{mark}(\\d+){mark}", frame)
        literal = [tokenizer.split_markup(part) for part in parts[::2]]
        inside = [texts[int(part)] for part in parts[1::2]]
        specials = [name for part in literal for name in special_names_of(part)]
        whole = render(str)
        if "".join(p + t for p, t in zip(parts[::2], [*inside, ""], strict=True)) == whole:
            joined: Pieces = []
            for part, text in zip(literal, [*inside, ""], strict=True):
                joined += [*part, (text, False)]
            return joined
        for prompt in (whole, render(lambda text: broken(text, mark, tokenizer))):
            found = tokenizer.split_markup(prompt)
            if special_names_of(found) == specials:
                return [(text.replace(mark, ""), is_special) for text, is_special in found]
        raise RenderError(
            "messages",
            "spell special tokens together with the checkpoint's template: rephrase them",
        )

    def render(self, messages: list[Any], generation_prompt: bool, **arguments: Any) -> str:
        """The template's text; arguments: more variables of it.

        Raises RenderError with the template's own complaint.
        """
        try:
            text: str = self._template.render(
                messages=messages,
                add_generation_prompt=generation_prompt,
                **self._tokens,
                **arguments,
            )
        except Exception as error:  # whatever the checkpoint's template runs into
            reason = str(error).partition("\n")[0]
            raise RenderError(
                "messages", f"do not fit the checkpoint's template: {reason}"
            ) from error
        return text


def compiled(source: str) -> Any:
    """The template in the immutable sandbox, with what published templates call."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = complain
    try:
        return environment.from_string(source)
    except TemplateError as error:
        raise RenderError("chat_template", f"is no Jinja template: {error}") from error


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as published templates expect it: not escaped for HTML or, by default, ASCII."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def complain(message: str) -> None:
    """What a template calls to refuse a conversation."""
    raise ValueError(message)


def template_source(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """The Jinja text of a folder: its file, or what tokenizer_config.json holds."""
    file = folder / TEMPLATE_FILE
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = settings.get("chat_template")
    if isinstance(found, list):  # several by name
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else None


def changed(value: Any, change: Callable[[str], str], key: str = "") -> Any:
    """A message with every text of it changed; empty ones and `STRUCTURE` stay."""
    if isinstance(value, str):
        return change(value) if value and key not in STRUCTURE else value
    if isinstance(value, Mapping):
        return {name: changed(item, change, str(name)) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [changed(item, change, key) for item in value]
    return value


def texts_of(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every text that `changed` changes, once each."""
    found: dict[str, None] = {}

    def note(text: str) -> str:
        found[text] = None
        return text

    for message in messages:
        changed(message, note)
    return list(found)


def unused_character(texts: Sequence[str]) -> str:
    """A character of the private use area that no text has. Raises RenderError if all are used."""
    used = {character for text in texts for character in text}
    for code in PRIVATE_USE:
        if chr(code) not in used:
            return chr(code)
    raise RenderError("messages", "use every private use character: leave one out")


def special_names_of(pieces: Pieces) -> list[str]:
    """The specials among the pieces, in order."""
    return [text for text, is_special in pieces if is_special]


def broken(text: str, mark: str, tokenizer: Tokenizer) -> str:
    """`text` with `mark` inside every special's name, so that it is none."""
    return "".join(
        piece[:1] + mark + piece[1:] if is_special else piece
        for piece, is_special in tokenizer.split_markup(text)
    )
