"""A model larger than memory: routed experts are read from the checkpoint's shards when needed.

`load_streamed` makes a packed model whose experts come from an `ExpertStore`; the rest of it is in
memory. Tokens are those of the model that is wholly in memory, bit for bit.
"""

from openk2.streaming.budget import BudgetError, StreamingBudget, moe_layers, plan_streaming
from openk2.streaming.direct_file import FileReads
from openk2.streaming.disk import (
    GUESSING,
    OVERLAP,
    DiskRate,
    Prediction,
    files_to_read,
    measure_compute,
    measure_disk,
    measure_packing,
    predict,
)
from openk2.streaming.load import expert_form, load_streamed
from openk2.streaming.policy import AgedFrequency
from openk2.streaming.store import ExpertStore, StreamingStats

__all__ = [
    "GUESSING",
    "OVERLAP",
    "AgedFrequency",
    "BudgetError",
    "DiskRate",
    "ExpertStore",
    "FileReads",
    "Prediction",
    "StreamingBudget",
    "StreamingStats",
    "expert_form",
    "files_to_read",
    "load_streamed",
    "measure_compute",
    "measure_disk",
    "measure_packing",
    "moe_layers",
    "plan_streaming",
    "predict",
]
