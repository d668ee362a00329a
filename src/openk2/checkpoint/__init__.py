"""Read and write the published safetensors layout: checked before loading, written whole or not.

`load_model`, `save_model` and `verify_checkpoint` handle weights; `export_model` and
`export_checkpoint` add the files that other engines need beside them. `open_checkpoint` reads
tensor by tensor.
"""

from openk2.checkpoint.convert import Conversion, convert_checkpoint, plan_conversion
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.export import export_checkpoint, export_model, export_tensors, plan_export
from openk2.checkpoint.format import Format, Weights
from openk2.checkpoint.gguf_file import GgufType, plan_gguf, write_gguf
from openk2.checkpoint.index import Index, read_index
from openk2.checkpoint.load import load_model, read_rows
from openk2.checkpoint.names import PublishedTensor, published_tensors
from openk2.checkpoint.packed import load_packed, stored_refusal, weight_of
from openk2.checkpoint.room import available_memory, held_bytes, resident_bytes, stored_bytes
from openk2.checkpoint.safetensors_file import DTYPES, StoredTensor, TensorSpec
from openk2.checkpoint.save import ModelTensors, TensorSource, save_model, write_tensors
from openk2.checkpoint.stored import StoredCheckpoint, open_checkpoint, scale_dtypes_of_shards
from openk2.checkpoint.synthetic import (
    ROUTER_EXPONENT,
    SyntheticTensors,
    expert_shares,
    synthesize_checkpoint,
)
from openk2.checkpoint.target import licences_of, refuse_other_content
from openk2.checkpoint.verify import CheckpointInfo, verify_checkpoint

__all__ = [
    "DTYPES",
    "ROUTER_EXPONENT",
    "CheckpointError",
    "CheckpointInfo",
    "Conversion",
    "Format",
    "GgufType",
    "Index",
    "ModelTensors",
    "PublishedTensor",
    "StoredCheckpoint",
    "StoredTensor",
    "SyntheticTensors",
    "TensorSource",
    "TensorSpec",
    "Weights",
    "available_memory",
    "convert_checkpoint",
    "expert_shares",
    "export_checkpoint",
    "export_model",
    "export_tensors",
    "held_bytes",
    "licences_of",
    "load_model",
    "load_packed",
    "open_checkpoint",
    "plan_conversion",
    "plan_export",
    "plan_gguf",
    "published_tensors",
    "read_index",
    "read_rows",
    "refuse_other_content",
    "resident_bytes",
    "save_model",
    "scale_dtypes_of_shards",
    "stored_bytes",
    "stored_refusal",
    "synthesize_checkpoint",
    "verify_checkpoint",
    "weight_of",
    "write_gguf",
    "write_tensors",
]
