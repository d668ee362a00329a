"""A checkpoint as one GGUF file for llama.cpp, tensor by tensor, through the `gguf` package.

That package (extra `gguf`) is imported when a file is written. Experts are written one by one into
their stack, so that memory holds one published tensor.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from openk2.chat import Tokenizer, byte_level_vocabulary
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.exported_chat import exported_chat
from openk2.checkpoint.gguf_layout import GgufTensor, flags, numbers, pieces
from openk2.checkpoint.stored import StoredCheckpoint, open_checkpoint, read_config
from openk2.checkpoint.target import refuse_full_disk, refuse_source

GgufType = Literal["f32", "bf16", "q8_0"]
ARCHITECTURE, PRE_TOKENIZER = "deepseek2", "kimi-k2"
ALIGNMENT = 32
NORMAL, CONTROL, SHOWN, UNUSED = 1, 3, 4, 5  # kinds of tokens; 4 is called user defined


@dataclass(frozen=True)
class GgufPlan:
    """What a file will hold, known before a weight is read.

    gguf: the package. template: Jinja text, if the model has any. tensors: each with the package's
    name of its type. bytes: of all tensors.
    """

    gguf: ModuleType
    tokenizer: Tokenizer
    template: str | None
    tensors: list[tuple[GgufTensor, Any]]
    bytes: int


def plan_gguf(source: Path, file: Path, weights: GgufType, absent: int = 0) -> GgufPlan:
    """The plan of `write_gguf`; of `source` only the files beside the weights are read.

    absent: bytes of `source` that are yet to be downloaded.
    Raises CheckpointError for everything that these files show to be impossible.
    """
    gguf = require_gguf()
    if file.is_dir():
        raise CheckpointError(f"{file} is a folder: name a file, such as {file / 'model.gguf'}")
    refuse_source(file, source)
    config = read_config(source)
    tokenizer, chat = exported_chat(source)
    tensors = [(piece, type_of(gguf, piece, weights)) for piece in pieces(config)]
    total = sum(size_of(gguf, piece, kind) for piece, kind in tensors)
    refuse_full_disk(file, total, source, absent)
    return GgufPlan(gguf, tokenizer, chat.template, tensors, total)


def write_gguf(
    source: Path | str,
    file: Path | str,
    weights: GgufType,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, list[str]]:
    """Write a checkpoint and its tokenizer as `file`, whole or not at all.

    Returns the file's bytes and the flags that llama.cpp needs to compute this network.

    weights: of matrices; vectors and routers are float32, and rows that q8_0's blocks of 32 do not
    divide stay bfloat16. Raises CheckpointError without the `gguf` package, a tokenizer, or room on
    the disk, and for a network that llama.cpp would compute differently.
    """
    checkpoint, file = open_checkpoint(Path(source)), Path(file)
    plan = plan_gguf(checkpoint.folder, file, weights)
    gguf = plan.gguf
    file.parent.mkdir(parents=True, exist_ok=True)
    writing = file.with_name(f".{file.name}.writing")
    try:
        writer = gguf.GGUFWriter(writing, ARCHITECTURE)
        _describe(gguf, writer, checkpoint, plan.tokenizer, plan.template, weights)
        for piece, kind in plan.tensors:
            writer.add_tensor_info(
                piece.name,
                piece.shape,
                np.dtype("float32"),
                size_of(gguf, piece, kind),
                raw_dtype=kind,
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        stream, done = writer.fout[0], 0
        writer.write_padding(stream, stream.tell())
        for piece, kind in plan.tensors:
            for data in _encoded(gguf, checkpoint, piece, kind):
                stream.write(data)
                progress(done := done + len(data), plan.bytes)
            stream.write(bytes(-stream.tell() % ALIGNMENT))
        stream.flush()
        os.fsync(stream.fileno())
        writer.close()
        writing.replace(file)
    except BaseException:
        writing.unlink(missing_ok=True)
        raise
    return file.stat().st_size, flags(checkpoint.config)


def require_gguf() -> ModuleType:
    """The `gguf` package. Raises CheckpointError if it is not installed."""
    try:
        import gguf
    except ImportError as error:
        raise CheckpointError(
            "GGUF files are written with the gguf package: pip install 'openk2[gguf]'"
        ) from error
    package: ModuleType = gguf
    return package


def type_of(gguf: ModuleType, piece: GgufTensor, weights: GgufType) -> Any:
    """The package's name of the type in which a tensor is stored."""
    kinds = gguf.GGMLQuantizationType
    if piece.exact or weights == "f32":
        return kinds.F32
    whole = piece.shape[-1] % gguf.GGML_QUANT_SIZES[kinds.Q8_0][0] == 0
    return kinds.Q8_0 if weights == "q8_0" and whole else kinds.BF16


def size_of(gguf: ModuleType, piece: GgufTensor, kind: Any) -> int:
    """Bytes of a tensor in the file."""
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return int(torch.Size(piece.shape).numel() // block * block_bytes)


def _encoded(gguf: ModuleType, checkpoint: StoredCheckpoint, piece: GgufTensor, kind: Any) -> Any:
    """The bytes of a tensor's parts, one after the other."""
    for published in piece.parts:
        tensor = piece.shaped(checkpoint.tensor(published))
        yield memoryview(_encode(gguf, tensor, kind)).cast("B")


def _encode(gguf: ModuleType, tensor: Tensor, kind: Any) -> Any:
    if kind == gguf.GGMLQuantizationType.BF16:
        return tensor.to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
    return gguf.quants.quantize(tensor.float().contiguous().numpy(), kind)


def _describe(
    gguf: ModuleType,
    writer: Any,
    checkpoint: StoredCheckpoint,
    tokenizer: Tokenizer,
    template: str | None,
    weights: GgufType,
) -> None:
    """Everything of the file but tensors."""
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(checkpoint.folder.resolve().name)
    types = gguf.LlamaFileType
    named = {"f32": types.ALL_F32, "bf16": types.MOSTLY_BF16, "q8_0": types.MOSTLY_Q8_0}
    writer.add_file_type(named[weights])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, value in numbers(checkpoint.config).items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
        add.get(type(value), writer.add_string)(f"{ARCHITECTURE}.{key}", value)
    tokens, merges = byte_level_vocabulary(tokenizer)
    specials = {number: name for name, number in tokenizer.specials.items()}
    count = checkpoint.config.vocab_size
    listed = [*tokens, *(specials.get(i, f"[PAD{i}]") for i in range(len(tokens), count))]
    kinds = [NORMAL] * len(tokens)
    kinds += [kind_of(i, tokenizer) for i in range(len(tokens), count)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(listed)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(tokenizer.specials["[BOS]"])
    writer.add_eos_token_id(tokenizer.specials["[EOS]"])
    writer.add_eot_token_id(tokenizer.specials["<|im_end|>"])
    writer.add_pad_token_id(tokenizer.specials["[PAD]"])
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)


def kind_of(number: int, tokenizer: Tokenizer) -> int:
    """The kind of an id after the ranks. llama.cpp leaves control tokens out of an answer's text,
    so those that are shown, such as <think>, are not of them."""
    if number >= tokenizer.vocab_size:
        return UNUSED
    return CONTROL if number in tokenizer.silent_ids else SHOWN
