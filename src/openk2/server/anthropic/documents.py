"""Blocks that are documents and search results: their text, if text is all they hold.

The SDK turns a text resource of an MCP server into a `document` inside a tool's result, and
retrieval hands over `search_result` blocks. Both are read like text.
"""

from collections.abc import Mapping
from typing import Any

from openk2.server.replayed import note


def document_text(block: Mapping[str, Any]) -> str | None:
    """Title, source and text of a `document` or `search_result`, with a blank line after them; None
    for other blocks, and for documents that are not text, such as a PDF."""
    kind, source = block.get("type"), block.get("source")
    if kind == "search_result":
        heads, body = (block.get("title"), source), parts_text(block.get("content"))
    elif kind == "document" and isinstance(source, Mapping):
        heads = (block.get("title"), block.get("context"))
        if source.get("type") == "text":
            body = source.get("data")
        else:
            body = parts_text(source.get("content")) if source.get("type") == "content" else None
    else:
        return None
    if not isinstance(body, str):
        return None
    said = [text for text in (*heads, body) if isinstance(text, str) and text]
    return "".join(f"{text}\n" for text in said) + "\n"


def parts_text(content: Any) -> str | None:
    """A text as it is, or the texts of blocks, with a note for each block that is none; None for
    anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    return "".join(part_text(part) for part in content)


def part_text(part: Any) -> str:
    """The text of a part, or its note."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    text = part.get("text") if kind == "text" else None
    return text if isinstance(text, str) else note(kind)
