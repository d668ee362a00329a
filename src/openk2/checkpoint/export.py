"""A folder that other engines serve: weights, config.json, generation_config.json, tokenizer."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from openk2.architecture import ModelConfig
from openk2.chat import (
    GENERATION_FILE,
    ChatFiles,
    Tokenizer,
    TokenizerError,
    export_tokenizer,
    require_tokenizers,
)
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.exported_chat import exported_chat
from openk2.checkpoint.format import MAX_SHARD_BYTES, Format, ModelType, Weights
from openk2.checkpoint.save import (
    ModelTensors,
    Progress,
    TensorSource,
    tensor_bytes,
    write_tensors,
)
from openk2.checkpoint.stored import open_checkpoint, read_config
from openk2.checkpoint.target import (
    licences_of,
    refuse_full_disk,
    refuse_other_content,
    refuse_source,
)
from openk2.model import K2Model
from openk2.record import write_file_atomically, write_folder_atomically


def export_model(
    model: K2Model,
    tokenizer: Tokenizer,
    folder: Path | str,
    *,
    weights: Weights = "bf16",
    dtype: torch.dtype = torch.bfloat16,
    model_type: ModelType = "deepseek_v3",
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """`save_model` plus generation_config.json and tokenizer files, all or nothing.

    model_type: "deepseek_v3", which every engine reads, or the published "kimi_k2" (see `Format`).
    Raises CheckpointError if the tokenizer has ids that the model's vocabulary does not reach.
    """
    form = Format.named(weights, dtype, model_type)
    export_tensors(ModelTensors(model), tokenizer, Path(folder), form, max_shard_bytes)


def export_checkpoint(
    source: Path | str,
    folder: Path | str,
    *,
    weights: Weights = "bf16",
    dtype: torch.dtype = torch.bfloat16,
    model_type: ModelType = "deepseek_v3",
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: Progress = lambda done, total: None,
) -> None:
    """`export_model` of a checkpoint on disk, tensor by tensor: the model is never in memory.

    Its chat template, names of specials, generation_config.json (`ChatFiles`) and licence are kept.
    progress: is called with bytes written and to be written in all. Raises CheckpointError if the
    source is broken, has no tokenizer or would be replaced, or if `tokenizers` is missing.
    """
    checkpoint = open_checkpoint(Path(source))
    form = Format.named(weights, dtype, model_type)
    tokenizer, files = plan_export(checkpoint.folder, Path(folder), form)
    licences = licences_of(checkpoint.folder)
    export_tensors(
        checkpoint, tokenizer, Path(folder), form, max_shard_bytes, files, licences, progress
    )


def plan_export(
    source: Path, folder: Path, form: Format, absent: int = 0
) -> tuple[Tokenizer, ChatFiles]:
    """What `export_checkpoint` writes beside weights; of `source` no weights are read.

    absent: bytes of `source` that are yet to be downloaded.
    Raises CheckpointError for everything that the other files show to be impossible.
    """
    refuse_source(folder, source)
    try:
        require_tokenizers()
    except TokenizerError as error:
        raise CheckpointError(str(error)) from error
    config = read_config(source)
    tokenizer, files = exported_chat(source)
    _refuse(config, tokenizer, folder, form)
    refuse_full_disk(folder, tensor_bytes(config, form), source, absent)
    return tokenizer, files


def export_tensors(
    source: TensorSource,
    tokenizer: Tokenizer,
    folder: Path,
    form: Format = Format(model_type="deepseek_v3"),
    max_shard_bytes: int = MAX_SHARD_BYTES,
    files: ChatFiles = ChatFiles(),
    licences: Mapping[str, bytes] = MappingProxyType({}),
    progress: Progress = lambda done, total: None,
) -> None:
    """`export_model` of a network wherever its tensors are, one at a time.

    files: how the network is prompted and sampled. licences: see `licences_of`.
    progress: see `export_checkpoint`.
    """
    _refuse(source.config, tokenizer, folder, form)
    refuse_full_disk(folder, tensor_bytes(source.config, form))
    with write_folder_atomically(folder) as new:
        context = source.config.max_position_embeddings
        export_tokenizer(tokenizer, new, context_length=context, files=files)
        generation = json.dumps(_generation_config(source.config, tokenizer, files), indent=2)
        write_file_atomically(new / GENERATION_FILE, generation + "\n")
        for name, content in licences.items():
            (new / name).write_bytes(content)
        write_tensors(source, new, form, max_shard_bytes, progress)


def _refuse(config: ModelConfig, tokenizer: Tokenizer, folder: Path, form: Format) -> None:
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"the tokenizer has {tokenizer.vocab_size} ids, the model's vocab_size is "
            f"{config.vocab_size}: they are not of one model"
        )
    form.refuse_rows(config)
    refuse_other_content(folder)


def _generation_config(
    config: ModelConfig, tokenizer: Tokenizer, files: ChatFiles
) -> dict[str, object]:
    """config.json names one end of text; a chat turn ends with another. Both stop here."""
    ends = tokenizer.stop_ids | files.stop_ids
    if config.eos_token_id is not None:
        ends |= {config.eos_token_id}
    own = {"bos_token_id": config.bos_token_id, "eos_token_id": sorted(ends)}
    own["pad_token_id"] = config.pad_token_id
    return {**own, **files.generation, "eos_token_id": own["eos_token_id"]}
