"""Which chat format a checkpoint has: K2's own, or what its template writes."""

from pathlib import Path

from openk2.chat import CheckpointTemplate, JsonTokenizer, Tokenizer
from openk2.generation import ChatFormat, K2Format, TemplateFormat

# A template that writes calls with this token is K2's: Base and Moonlight, whose vocabulary is the
# same, have older ones without.
OF_K2 = "<|tool_calls_section_begin|>"


def find_format(folder: Path, tokenizer: Tokenizer) -> ChatFormat:
    """The format of the checkpoint in `folder`. Raises TokenizerError, RenderError.

    K2's vocabulary without any template is taken for K2's format. That format needs tiktoken.model,
    whose specials follow its ranks.
    """
    template = CheckpointTemplate.read(folder, tokenizer)
    has_markers = OF_K2 in tokenizer.specials and not isinstance(tokenizer, JsonTokenizer)
    if has_markers and (template is None or OF_K2 in template.source):
        return K2Format(tokenizer)
    return TemplateFormat(tokenizer, template)
