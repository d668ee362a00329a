"""From files to batches: sources, packing with document masks, corpora in shards, mixtures of rows.

`Batch` and `Mixture` need torch, which is imported when they are first asked for: workers that pack
a corpus start without it.
"""

from typing import TYPE_CHECKING, Any

from openk2.data.chat_dataset import chat_documents, text_documents
from openk2.data.corpus import CorpusProgress, CorpusRecipe, CorpusSummary, prepare_corpus
from openk2.data.dialogues import convert_dialogues
from openk2.data.drills import Drills
from openk2.data.manifest import MANIFEST, Manifest
from openk2.data.packing import CutCount, Document, PackedRows, pack_stream, pack_whole
from openk2.data.reasons import with_reasons
from openk2.data.role import Role
from openk2.data.rows import Rows, open_rows, verify_rows
from openk2.data.sources import is_plain_text, numbered_rows, read_conversations, read_texts
from openk2.record import DataError

if TYPE_CHECKING:
    from openk2.data.mixture import Batch, Mixture

__all__ = [
    "MANIFEST",
    "Batch",
    "CorpusProgress",
    "CorpusRecipe",
    "CorpusSummary",
    "CutCount",
    "DataError",
    "Document",
    "Drills",
    "Manifest",
    "Mixture",
    "PackedRows",
    "Role",
    "Rows",
    "chat_documents",
    "convert_dialogues",
    "is_plain_text",
    "numbered_rows",
    "open_rows",
    "pack_stream",
    "pack_whole",
    "prepare_corpus",
    "read_conversations",
    "read_texts",
    "text_documents",
    "verify_rows",
    "with_reasons",
]


def __getattr__(name: str) -> Any:
    """`Batch` and `Mixture`, imported now."""
    if name not in ("Batch", "Mixture"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from openk2.data import mixture

    return getattr(mixture, name)
