"""Checkpoint -> packed model whose routed experts are read when they are needed."""

from collections.abc import Callable

import torch

from openk2.architecture import Int4, ModelConfig
from openk2.checkpoint import StoredCheckpoint, load_packed
from openk2.kernels import ExpertForm, ExpertSlots, Fp8Weight, Int4Weight, Weight
from openk2.model import K2Model
from openk2.streaming.direct_file import FileReads, ShardFiles
from openk2.streaming.layer import StreamedExperts
from openk2.streaming.reader import ExpertReader
from openk2.streaming.store import ExpertStore

THREADS = 4  # reads under way; one of an expert is split into many requests by the system


def load_streamed(
    checkpoint: StoredCheckpoint,
    *,
    slots: int,
    dtype: torch.dtype = torch.bfloat16,
    stored: bool = True,
    threads: int = THREADS,
    reads: FileReads = FileReads.direct,
    look_ahead: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[K2Model, ExpertStore]:
    """Load all but the routed experts, and make the store of those.

    slots: experts in memory at a time. dtype, stored: see `load_packed`. reads, look_ahead: for
    comparing; tell: gets one line where O_DIRECT is not to be had. The store is to be closed.
    Raises CheckpointError, and MemoryError for a slab that cannot be mapped.
    """
    config = checkpoint.config
    files = ShardFiles(reads, tell)
    reader = ExpertReader(checkpoint, files, dtype, stored)
    slab = ExpertSlots(expert_form(config, dtype, stored), config.n_routed_experts, slots)
    store = ExpertStore(
        reader, slab, config.num_hidden_layers, threads=threads, look_ahead=look_ahead
    )
    row_errors: dict[int, Exception] = {}
    try:
        model = load_packed(
            checkpoint,
            dtype=dtype,
            stored=stored,
            routed=lambda layer: StreamedExperts(store, layer, row_errors),
        )
    except BaseException:
        store.close()
        raise
    model.row_errors = row_errors
    return model, store


def expert_form(config: ModelConfig, dtype: torch.dtype, stored: bool) -> ExpertForm:
    """What a packed expert of this config is like."""
    sample: Weight = torch.empty(1, 1, dtype=dtype)
    form = config.quantization if stored else None
    if isinstance(form, Int4):
        words = torch.zeros(1, form.group // 8, dtype=torch.int32)
        sample = Int4Weight(words, torch.zeros(1, 1, dtype=torch.bfloat16))
    elif form is not None:
        values = torch.zeros(1, 1, dtype=torch.float8_e4m3fn)
        sample = Fp8Weight(values, torch.zeros(1, 1), form)
    return ExpertForm(config.hidden_size, config.moe_intermediate_size, sample)
