"""From files to batches: sources, packing with document masks, a seeded mixture."""

from openk2.data.dialogues import convert_dialogues
from openk2.data.mixture import Batch, Mixture
from openk2.data.packing import Document, PackedRows, pack_stream, pack_whole
from openk2.data.sources import DataError, read_conversations, read_texts

__all__ = [
    "Batch",
    "DataError",
    "Document",
    "Mixture",
    "PackedRows",
    "convert_dialogues",
    "pack_stream",
    "pack_whole",
    "read_conversations",
    "read_texts",
]
