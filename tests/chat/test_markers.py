"""Markers in text, against a search for every name at every place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.chat.markers import (
    CALL_MARKERS,
    SPECIAL_MARKERS,
    TEXT_MARKERS,
    THINK_MARKERS,
    Marker,
    SpeltMarkers,
    named_markers,
)
from openk2.chat.tokenizer import special_names

TABLES = [TEXT_MARKERS, {**TEXT_MARKERS, **THINK_MARKERS}, SPECIAL_MARKERS]
NAMES = [*TEXT_MARKERS, "[EOS]", "<think>", "</think>"]
PIECES = st.sampled_from([*NAMES, "a", "<", "<|", "[", "|>", "]", " ", "<|x|>"]) | st.sampled_from(
    [name[:cut] for name in NAMES for cut in range(1, len(name))]
)


@given(st.lists(PIECES, max_size=8).map("".join), st.sampled_from(TABLES), st.integers(0, 5))
def test_markers_and_cut_ones_are_found_where_a_plain_search_finds_them(
    text: str, table: dict[str, Marker], start: int
) -> None:
    spelt, start = SpeltMarkers(table), min(start, len(text))
    found = [
        (begin, begin + len(name), marker)
        for begin in range(start, len(text))
        for name, marker in table.items()
        if text.startswith(name, begin)
    ]
    assert list(spelt.find(text, start)) == found
    cut = [
        begin
        for begin in range(start, len(text))
        if any(name.startswith(text[begin:]) for name in table)
    ]
    assert spelt.beginning(text, start) == min(cut, default=len(text))


@pytest.mark.parametrize("ranks", [300, 163_584])
def test_every_special_is_a_marker_and_those_without_a_meaning_are_others(ranks: int) -> None:
    names = special_names(ranks, thinking=True)
    table = named_markers(names)
    assert set(names) <= set(table)
    for name, marker in {**CALL_MARKERS, **THINK_MARKERS}.items():
        assert table[name] is marker
    assert table["<|im_end|>"] is table["[EOS]"] is Marker.STOP
    assert table["<|im_user|>"] is table["[PAD]"] is Marker.OTHER
    assert table["<|tool_call_section_begin|>"] is Marker.SECTION_BEGIN
