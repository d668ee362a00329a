"""From files to batches: sources, packing with document masks, a corpus in shards.

`openk2.data.mixture` makes batches of rows. It alone needs torch, and is imported by its own name.
"""

from openk2.data.dialogues import convert_dialogues
from openk2.data.error import DataError
from openk2.data.packing import Document, PackedRows, pack_stream, pack_whole
from openk2.data.role import Role
from openk2.data.rows import Rows, open_rows, verify_rows
from openk2.data.sources import read_conversations, read_texts

__all__ = [
    "DataError",
    "Document",
    "PackedRows",
    "Role",
    "Rows",
    "convert_dialogues",
    "open_rows",
    "pack_stream",
    "pack_whole",
    "read_conversations",
    "read_texts",
    "verify_rows",
]
