"""Every block of docs/tutorials/muonclip.md runs, and prints what the page says.

The one for several ranks is run by muon/test_ranks.py.
"""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "muonclip.md"
BLOCK = re.compile(r"^```(\w+)(?: \S+)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))[:-1]
    assert [kind for kind, _ in blocks].count("text") >= 6
    names: dict[str, Any] = {}
    printed = ""
    for kind, text in blocks:
        if kind == "text":
            assert printed == text
            printed = ""
            continue
        assert printed == ""  # all that is printed is on the page
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(text, str(PAGE), "exec"), names)
        printed = out.getvalue()
    assert printed == ""
