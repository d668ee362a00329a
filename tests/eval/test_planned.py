"""What a row was to have is read back, and a damaged note of it is named."""

from pathlib import Path

import pytest

from openk2.eval.planned import PLANNED, Planned, read_planned, write_planned
from openk2.record import DataError


def test_what_is_written_is_read_and_further_keys_are_left(tmp_path: Path) -> None:
    assert read_planned(tmp_path) is None
    write_planned(tmp_path / "row", Planned(40))
    assert read_planned(tmp_path / "row") == Planned(40)
    (tmp_path / PLANNED).write_text('{"answers": 40, "limit": 10}')
    assert read_planned(tmp_path) == Planned(40)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"answers": null}'])
def test_a_damaged_note_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / PLANNED).write_text(text)
    with pytest.raises(DataError, match=r"planned\.json.*delete it and run the row again"):
        read_planned(tmp_path)
