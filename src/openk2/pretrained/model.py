"""`open_model`: from a path or a name to a running engine and chat."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from openk2.architecture import ConfigError, ModelConfig
from openk2.chat import RenderError, Tokenizer, TokenizerError, find_tokenizer, read_stop_ids
from openk2.generation import K2Format, RenderedChat
from openk2.grammar import ChatMasks
from openk2.pretrained.cache_plan import CachePlan, plan_cache
from openk2.pretrained.chat_format import find_format
from openk2.pretrained.error import LocalModelError
from openk2.pretrained.folder import DEFAULT_MODEL, find_folder
from openk2.pretrained.hub import folder_name
from openk2.pretrained.room import Room, packing_bytes
from openk2.pretrained.streamed import plan_memory
from openk2.pretrained.weight_memory import (
    WeightForm,
    WeightMemory,
    default_dtype,
    folder_bytes,
    kernel_use,
    memory_check,
    usable_device,
    weight_memory,
)

if TYPE_CHECKING:
    import torch

    from openk2.engine import Engine
    from openk2.streaming import ExpertStore


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocalModel:
    """A model in this process. Its engine runs until `close`; also a context manager.

    name: the folder's or the built-in's. cache: how the latent cache was sized. masks: None where
    the checkpoint's format is not K2's. skipped: tensors of its files that are not read, by kind.
    experts: what streams the routed experts, where they are not all in memory.
    """

    name: str
    folder: Path
    config: ModelConfig
    tokenizer: Tokenizer
    engine: "Engine"
    chat: RenderedChat
    cache: CachePlan
    parameters: int
    dtype: "torch.dtype"
    masks: ChatMasks | None
    weights: WeightMemory
    skipped: Mapping[str, int] = field(default_factory=dict)
    experts: "ExpertStore | None" = None

    @property
    def summary(self) -> str:
        """One line for a person: what was opened and what it takes."""
        return (
            f"{self.name}: {self.parameters / 1e6:.1f}M parameters in {self.weights}, "
            f"context {self.cache.context_length:,} tokens, "
            f"latent cache {self.cache.bytes_per_token:,} bytes a token, "
            f"{self.cache.pages * self.cache.page_size:,} tokens in at most "
            f"{self.cache.bytes / 2**20:,.0f} MiB"
            + "".join(f", {count:,} {kind} tensors skipped" for kind, count in self.skipped.items())
        )

    def close(self) -> None:
        """Stop the engine; requests in flight get an EngineError."""
        self.engine.stop()
        if self.experts is not None:
            self.experts.close()
        self.chat.close()

    def __enter__(self) -> "LocalModel":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_model(
    path_or_name: str | Path = DEFAULT_MODEL,
    *,
    context_length: int | None = None,
    max_batch: int = 32,
    cache_bytes: int | None = None,
    dtype: "torch.dtype | None" = None,
    device: "torch.device | str" = "cpu",
    weights: WeightForm | str = WeightForm.stored,
    memory: int | None = None,
) -> LocalModel:
    """Read a checkpoint folder, a built-in model or a model of the hub and start its engine.

    path_or_name: of the hub as "ORGANISATION/NAME[@REVISION]", downloaded unless the cache has it.
    context_length: of one request (default: the model's, or what cache_bytes hold if that is less).
    max_batch: requests that run together; others wait.
    cache_bytes: memory for cached latents at most; a CPU's system hands it over as pages are used.
        Default: a share of what the device has left, see `cache_budget`.
    dtype: of weights and cache (default: float32 for small models on a CPU, bfloat16 otherwise).
    weights: "stored": quantized weights stay as they are, where the native kernels read them (on a
        CPU); "plain": they are dequantized to dtype.
    memory: bytes for everything. What does not stay in memory is a routed expert and is read from
        the checkpoint when a token needs it (docs/design/streaming.md). Default: all weights are
        in memory.
    Raises LocalModelError, one line, for a path, files or an option that cannot be used, or memory
    that is not there: nothing has been read then.
    """
    weights = check_options(max_batch, dtype, weights)
    admit = None
    if memory is None:
        admit = memory_check(str(path_or_name), device=device, dtype=dtype, weights=weights)
    folder = find_folder(path_or_name, admit=admit)
    try:
        config = ModelConfig.read(folder)
        tokenizer = find_tokenizer(folder, config.vocab_size)
        chat_format = find_format(folder, tokenizer)
        stop_ids = read_stop_ids(folder, tokenizer)
    except (ConfigError, TokenizerError, RenderError) as error:
        raise LocalModelError(str(error)) from error

    # Imported here, because it takes seconds and the errors above should not.
    from openk2.checkpoint import (
        CheckpointError,
        available_memory,
        load_model,
        load_packed,
        open_checkpoint,
        stored_refusal,
    )
    from openk2.engine import Engine
    from openk2.streaming import load_streamed

    device = usable_device(device)
    dtype = dtype or default_dtype(folder_bytes(folder), device)
    try:
        checkpoint = open_checkpoint(folder)
    except CheckpointError as error:
        raise LocalModelError(str(error)) from error
    packs, stored = kernel_use(config, device, weights, checkpoint.scale_dtypes)
    if packs and not stored and weights is WeightForm.stored and config.quantization is not None:
        reason = stored_refusal(config, checkpoint.scale_dtypes)
        log.warning("%s: the weights are dequantized, which takes more memory: %s", folder, reason)
    held, slots, experts = weight_memory(config, dtype, stored), 0, None
    if memory is None:
        needed = held.bytes + (packing_bytes(config, dtype.itemsize) if packs else 0)
        room = Room(folder, needed, available_memory(device), device.type)
        cache = plan_cache(
            config,
            value_bytes=dtype.itemsize,
            budget_bytes=room.cache_budget() if cache_bytes is None else cache_bytes,
            max_batch=max_batch,
            context_length=context_length,
        )
        room.check(cache.bytes)
    else:
        if not packs:
            raise LocalModelError(f"{folder}: --memory needs a CPU and the native kernels: see log")
        cache, budget = plan_memory(
            folder,
            config,
            memory,
            dtype=dtype,
            stored=stored,
            max_batch=max_batch,
            available=available_memory(device),
            cache_bytes=cache_bytes,
            context_length=context_length,
        )
        slots = budget.slots
        part = f"{slots} of {budget.experts} experts in memory"
        held = WeightMemory(f"{held.form}, {part}", budget.resident + budget.slab)
    try:
        if memory is not None:
            model, experts = load_streamed(
                checkpoint, slots=slots, dtype=dtype, stored=stored, tell=log.warning
            )
        elif packs:
            model = load_packed(checkpoint, dtype=dtype, stored=stored)
        else:
            model = load_model(checkpoint, dtype=dtype, device=device)
        engine = Engine(
            model.eval(),
            pages=cache.pages,
            page_size=cache.page_size,
            max_batch=max_batch,
            context_length=cache.context_length,
        )
    except CheckpointError as error:
        raise LocalModelError(str(error)) from error
    except MemoryError as error:
        raise LocalModelError(
            f"{folder}: {error}: lower the cache memory (--cache-memory)"
        ) from error
    masks = None
    if isinstance(chat_format, K2Format):
        masks = ChatMasks(tokenizer, chat_format.style.tools)
    chat = RenderedChat(tokenizer, engine, stop_ids, masks, chat_format)
    engine.start()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    name = folder_name(folder)
    return LocalModel(
        name,
        folder,
        config,
        tokenizer,
        engine,
        chat,
        cache,
        parameters,
        dtype,
        masks,
        held,
        checkpoint.skipped,
        experts,
    )


def check_options(max_batch: int, dtype: object, weights: str) -> WeightForm:
    """The form of the weights. Raises LocalModelError for options that no model could be opened
    with, before anything is read."""
    if isinstance(max_batch, bool) or not isinstance(max_batch, int) or max_batch < 1:
        raise LocalModelError(f"max_batch is {max_batch!r}: it must be an int of at least 1")
    if dtype is not None:
        import torch

        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            message = f"dtype is {dtype!r}: give torch.float32 or torch.bfloat16"
            raise LocalModelError(message)
    try:
        return WeightForm(weights)
    except ValueError:
        forms = " or ".join(repr(form.value) for form in WeightForm)
        raise LocalModelError(f"weights is {weights!r}: give {forms}") from None
