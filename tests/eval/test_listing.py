"""The list says of each row how it is asked and where its data is, or what to do for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from openk2.eval.listing import list_rows, listing_table

from .made_up import row_of, sums, write_sums


def test_every_row_has_its_protocol_and_the_state_of_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    write_sums(tmp_path)
    place = sums().source
    here = sums("list-here", samples=4, shots=2, roles=("grader",), runs_code=("python",))
    hub = replace(sums("list-hub"), source=replace(place, folder="no", hub="home/sums"))
    gated = replace(hub, name="list-gated", source=replace(hub.source, gated=True))
    outside = replace(sums("list-outside"), external="their harness")
    scored = sums("list-options", asks="options")
    rows = [row_of(benchmark) for benchmark in (here, hub, gated, outside, scored)]
    listed = list_rows([*rows, replace(rows[0], task="no.such.module:X")], tmp_path)
    assert listed[0].protocol == (
        "chat, 2-shot, Avg@4, temperature 0.6, 8,192 tokens, grader model, runs python"
    )
    assert listed[4].protocol == "options"
    assert [entry.data for entry in listed] == [
        f"folder {tmp_path / 'sums'}",
        "hub home/sums, or make it up",
        "not available: make it up",
        "its own harness, their harness: make it up",
        f"folder {tmp_path / 'sums'}",
        "x: there is no task no.such.module:X",
    ]
    assert [entry.available for entry in listed] == [True, False, False, False, True, False]
    assert listing_table(listed).markdown().count("\n") == 8
