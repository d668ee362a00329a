"""What a checkpoint's files say of text, for other engines: tokenizer, prompts, sampling."""

from pathlib import Path

from openk2.chat import TOKENIZER_FILE, ChatFiles, Tokenizer, TokenizerError, named_tokenizer
from openk2.checkpoint.error import CheckpointError


def exported_chat(folder: Path) -> tuple[Tokenizer, ChatFiles]:
    """The tokenizer and the chat files of a checkpoint's folder, which need no weights.

    Raises CheckpointError for damaged files and another model's tokenizer.
    """
    if not (folder / TOKENIZER_FILE).is_file():
        raise CheckpointError(
            f"{folder} has no {TOKENIZER_FILE}: GGUF and `checkpoint export` write K2's tokenizer "
            "only; use `checkpoint convert` to bf16, block-fp8 or int4"
        )
    try:
        tokenizer = named_tokenizer(folder)
        return tokenizer, ChatFiles.read(folder, tokenizer)
    except TokenizerError as error:
        raise CheckpointError(str(error)) from error
