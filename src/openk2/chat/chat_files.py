"""`ChatFiles`: what a checkpoint's files say of its prompts and its sampling, for copies of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openk2.chat.checkpoint_template import template_source
from openk2.chat.json_tokenizer import read_object, read_settings
from openk2.chat.prompt_style import THINK
from openk2.chat.stop_ids import GENERATION_FILE, read_stop_ids
from openk2.chat.template import CHAT_TEMPLATE
from openk2.chat.tokenizer import Tokenizer

# The README's recommendation for Kimi-K2-Instruct.
INSTRUCT_SAMPLING: Mapping[str, Any] = {"do_sample": True, "temperature": 0.6}


@dataclass(frozen=True)
class ChatFiles:
    """K2-Instruct's, unless other ones are read.

    template: Jinja text; None if the format is not known. settings: of tokenizer_config.json.
    generation: of generation_config.json. stop_ids: what the files say ends an answer.
    """

    template: str | None = CHAT_TEMPLATE
    settings: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=lambda: INSTRUCT_SAMPLING)
    stop_ids: frozenset[int] = frozenset()

    @classmethod
    def read(cls, folder: Path, tokenizer: Tokenizer) -> "ChatFiles":
        """Those of a checkpoint. Raises TokenizerError for a damaged file.

        Without any template it is K2-Instruct's, unless the tokenizer names `<think>`: the models
        that think differ in their templates alone.
        """
        settings = read_settings(folder)
        template = template_source(folder, settings)
        instruct = template is None and THINK not in tokenizer.specials
        file = folder / GENERATION_FILE
        generation = INSTRUCT_SAMPLING if instruct and not file.is_file() else read_object(file)
        stops = read_stop_ids(folder, tokenizer)
        return cls(CHAT_TEMPLATE if instruct else template, settings, generation, stops)
