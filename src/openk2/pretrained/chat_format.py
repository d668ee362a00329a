"""Which chat format a checkpoint has: K2's own, or what its template writes."""

import logging
from pathlib import Path

from openk2.chat import THINK, THINK_END, CheckpointTemplate, JsonTokenizer, Tokenizer, style_of
from openk2.generation import ChatFormat, K2Format, TemplateFormat

logger = logging.getLogger(__name__)

# A template that writes calls with this token is K2's: Base and Moonlight, whose vocabulary is the
# same, have older ones without.
OF_K2 = "<|tool_calls_section_begin|>"


def find_format(folder: Path, tokenizer: Tokenizer) -> ChatFormat:
    """The format of the checkpoint in `folder`. Raises TokenizerError, RenderError.

    K2's format needs tiktoken.model, whose specials follow its ranks. K2's vocabulary without any
    template is taken for K2-Instruct's format, unless it names `<think>`: the models that think
    differ in their templates alone, so without one their format is unknown.
    """
    template = CheckpointTemplate.read(folder, tokenizer)
    if OF_K2 not in tokenizer.specials or isinstance(tokenizer, JsonTokenizer):
        return TemplateFormat(tokenizer, template)
    names_thoughts = {THINK, THINK_END} <= tokenizer.specials.keys()
    if template is None:
        return TemplateFormat(tokenizer, None) if names_thoughts else K2Format(tokenizer)
    if OF_K2 not in template.source:
        return TemplateFormat(tokenizer, template)
    if THINK not in template.source:
        return K2Format(tokenizer)
    style = style_of(template) if names_thoughts else None
    if style is not None:
        return K2Format(tokenizer, style, template.source)
    logger.warning(
        "%s: its chat template writes %s, but no prompt that openk2 knows: text only, no tools",
        folder,
        THINK,
    )
    return TemplateFormat(tokenizer, template)
