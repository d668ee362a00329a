"""Every block of docs/tutorials/chat.md runs, and prints what the page says."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "chat.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_page_does_what_it_says() -> None:
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert [kind for kind, _ in blocks] == ["python", "text"] * (len(blocks) // 2)
    assert len(blocks) >= 16
    names: dict[str, Any] = {}
    for (_, code), (_, expected) in zip(blocks[::2], blocks[1::2], strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), names)
        assert printed.getvalue() == expected


def test_the_page_needs_nothing_but_the_room() -> None:
    code = "\n".join(
        text for kind, text in BLOCK.findall(PAGE.read_text("utf-8")) if kind == "python"
    )
    heavy = ("torch", "fastapi", "pydantic", "httpx", "uvicorn", "tokenizers", "transformers")
    report = f"\nimport sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
