"""Where documents come from: text files, JSONL, parquet, Hugging Face datasets.

A source is cut into spans that workers read independently. Nothing here knows tokens.
"""

from openk2.data.sources.huggingface import HuggingFaceSource
from openk2.data.sources.jsonl import JsonlSource, numbered_rows, read_conversations
from openk2.data.sources.parquet import ParquetSource
from openk2.data.sources.source import Source, SourceSpan, TextDocument
from openk2.data.sources.text import TextSource
from openk2.data.sources.texts import is_plain_text, read_texts
from openk2.record import DataError

__all__ = [
    "DataError",
    "HuggingFaceSource",
    "JsonlSource",
    "ParquetSource",
    "Source",
    "SourceSpan",
    "TextDocument",
    "TextSource",
    "is_plain_text",
    "numbered_rows",
    "read_conversations",
    "read_texts",
]
