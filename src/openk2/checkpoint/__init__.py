"""Published safetensors in and out: verified before loading, streamed, written whole or not at all.

`load_model`, `save_model` and `verify_checkpoint` are the door; `export_model` and
`export_checkpoint` add the files that other engines need beside the weights.
"""

from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.export import export_checkpoint, export_model, export_tensors
from openk2.checkpoint.load import load_model
from openk2.checkpoint.save import Format, ModelTensors, save_model, write_tensors
from openk2.checkpoint.verify import CheckpointInfo, verify_checkpoint

__all__ = [
    "CheckpointError",
    "CheckpointInfo",
    "Format",
    "ModelTensors",
    "export_checkpoint",
    "export_model",
    "export_tensors",
    "load_model",
    "save_model",
    "verify_checkpoint",
    "write_tensors",
]
